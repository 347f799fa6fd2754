"""The commands that need no server: they work on the database of accounts beside it."""
