"""The reference model of single-capture payments: what is right."""
