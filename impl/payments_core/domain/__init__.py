"""Entities, value objects and rules; imports nothing of ours."""
