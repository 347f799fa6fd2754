"""One provider's wire format per file; DIALECTS in api/routes.py lists them."""
