"""Inputs in classes: what an implementation may take for equal, and how often a run came to each."""
