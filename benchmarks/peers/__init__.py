"""Other readers of route changes, each in its own words."""
