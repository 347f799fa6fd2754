"""One file a question; each has ``ask``, which measures and gives rows of the table."""
