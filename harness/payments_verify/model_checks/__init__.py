"""Checks of the model itself, and of the domain's rules against it; no service is needed."""
