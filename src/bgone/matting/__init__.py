"""Working picture → matte → small maps → alpha and foreground."""
