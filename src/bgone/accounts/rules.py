"""How often a caller may ask: a table of rules, which plans override.

All windows slide: at any moment the calls of the last second, minute or hour are counted, and none is forgotten when a
minute begins on the clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from bgone.errors import StartError

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
# In Redis a window holds an entry per unit; ten times the largest limit of any provider.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """So many in so long, for each of somebody.

    Attributes:
        per: Length of the sliding window, by name or in seconds; ``at_once`` counts calls that are being answered.
        amount: Calls or megapixels in a window.
        scope: Whose calls are counted together. Callers who need no key are told apart by their address in all scopes.
        weight: What a call counts: one, or the megapixels of its picture.
    """

    per: Literal["second", "minute", "hour", "at_once"] | Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    amount: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    scope: Literal["account", "key", "address"] = "account"
    weight: Literal["call", "megapixels"] = "call"

    @property
    def window_s(self) -> int:
        """Length of the window; 0 for ``at_once``."""
        return self.per if isinstance(self.per, int) else _SECONDS.get(self.per, 0)


Rules = tuple[Rule, ...]
Plans = Mapping[str, Mapping[str, Rules]]
"""Plan in lower case → dialect → its rules instead of the defaults; ``*`` → further rules, over all dialects."""

ANONYMOUS = "anonymous"
"""The plan of callers who need no key."""

# What the providers' pages said in 2025; those who say nothing (BackgroundErase, jobid-v1, Poof, Slazzer) have no row.
DEFAULTS: Mapping[str, Rules] = {
    "removebg": (Rule("minute", 500, "account", "megapixels"),),
    "poofbg": (Rule(60, 120, "account"),),
    "foner": (Rule("hour", 300, "key"),),
    "clipdrop": (Rule("minute", 60, "key"),),
    "photoroom": (Rule("minute", 60, "key"),),
    "picsart": (Rule("minute", 500, "key"),),
}

# PoofBG's table of plans; "pro" is the default above.
PLANS: Plans = {
    "free": {"poofbg": (Rule(60, 10),)},
    "payg": {"poofbg": (Rule(60, 30),)},
    "lite": {"poofbg": (Rule(60, 60),)},
    "pro": {"poofbg": (Rule(60, 120),)},
    "enterprise": {"poofbg": (Rule(60, 300),)},
}


def rules_of(plans: Plans, plan: str, dialect: str) -> list[tuple[str, Rule]]:
    """(what is counted together: the dialect, or ``*`` for all of them; the rule) of each rule that holds."""
    of_plan = plans.get(plan.lower(), {})
    # Who runs a server for himself is not to be slowed down by what a provider allows its customers.
    usual = () if plan == ANONYMOUS else DEFAULTS.get(dialect, ())
    own = [(dialect, rule) for rule in of_plan.get(dialect, usual)]
    return own + [("*", rule) for rule in of_plan.get("*", ())]


def lay_over(plans: Plans, said: Mapping[str, Any]) -> Plans:
    """The operator's plans, laid over others.

    Args:
        plans: What holds where nothing is said.
        said: Plan → dialect → list of rules, as JSON has them: ``{"lite": {"poofbg": [{"per": "minute", "amount":
            90}]}}``; an empty list takes a limit away.

    Raises:
        StartError: It is not that.
    """
    try:
        read = msgspec.convert(said, dict[str, dict[str, Rules]])
    except msgspec.ValidationError as error:
        raise StartError(f"The plans of rate limits cannot be read: {error}.") from error
    lower = {plan.lower(): rules for plan, rules in read.items()}
    return {plan: {**plans.get(plan, {}), **lower.get(plan, {})} for plan in {**plans, **lower}}


def read_plans(text: str) -> Plans:
    """The operator's plans as JSON text, laid over ours; empty text says nothing.

    Raises:
        StartError: It is not that.
    """
    if not text.strip():
        return PLANS
    try:
        said = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StartError(f"The plans of rate limits cannot be read: {error}.") from error
    return lay_over(PLANS, said)


def weight_of(width: int, height: int) -> int:
    """What a picture counts in remove.bg's minute: its megapixels, rounded up, at least 1 (8000 x 6250: 50)."""
    return max(1, math.ceil(width * height / 1_000_000))
