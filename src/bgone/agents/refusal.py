"""What a tool answers instead of a picture: words that the agent can act upon."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The tool's call cannot be done; its words go to the agent."""
