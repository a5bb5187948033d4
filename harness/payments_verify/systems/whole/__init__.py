"""The whole application in this process, on a database of its own: all it does beside requests goes wrong."""
