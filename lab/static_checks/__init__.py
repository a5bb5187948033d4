"""What can be seen without sending a request: the schema's refusals, the statements' shapes, the sources."""
