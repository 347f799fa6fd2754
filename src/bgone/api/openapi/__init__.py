"""The API described in OpenAPI 3.1: made of the dialects' tables, and of what their own functions answer."""
