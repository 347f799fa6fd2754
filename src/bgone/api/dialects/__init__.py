"""One provider's wire format per file; DIALECTS in api/table.py lists them."""
