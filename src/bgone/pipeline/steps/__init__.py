"""One small function per file: rows of the cutout in, rows out; the order is said once, in ``pipeline.render``."""
