"""Programs of commands, one after the other: drawn, compared with the model, made smaller, run again."""
