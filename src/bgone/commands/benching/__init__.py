"""What ``bgone bench`` measures, and what it tells."""
