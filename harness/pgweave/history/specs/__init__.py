"""Specifications of objects that many services have: registers, and a store of keys and values."""
