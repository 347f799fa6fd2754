"""Databases of both kinds."""

from tests.databases import address, empty, migrated_postgres

__all__ = ["address", "empty", "migrated_postgres"]
