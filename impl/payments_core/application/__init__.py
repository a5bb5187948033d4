"""Use cases, ports and data transfer objects."""
