"""Every interleaving of a scenario: one race, many as a check, and those that discovery finds."""
