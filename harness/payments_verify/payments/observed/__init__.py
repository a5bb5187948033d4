"""What clients ask and see: commands and answers as plain data, in the model's terms."""
