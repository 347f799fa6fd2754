"""An order → bytes: fetch, admit, look, think, draw. Knows no web, database or wire format."""
