"""Who may ask, what it costs them and how often: keys, credits, limits."""
