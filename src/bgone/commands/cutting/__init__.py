"""What ``bgone cut`` is made of: sources, names, files, scissors, a crew and its report."""
