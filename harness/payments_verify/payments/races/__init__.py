"""Races: requests at once, whose statements the engine orders, and what the model says of the run."""
