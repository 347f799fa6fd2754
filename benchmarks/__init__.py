"""How fast, how small, how steady: every figure that bgone states, measured anew by ``make bench``."""
