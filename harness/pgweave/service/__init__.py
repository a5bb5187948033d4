"""A service under test, started by a command: any program that takes a connection string and serves HTTP."""
