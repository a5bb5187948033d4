"""Scenarios as data: those that are written, those that are found, and schedules in files."""
