"""Work that outlives its request: a job, its state, its result."""
