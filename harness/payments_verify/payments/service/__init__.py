"""The service that is examined, and sessions beside it that hold its rows."""
