"""What is right: the model as an oracle for one answer, and as a specification for a history."""
