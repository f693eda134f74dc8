"""What a person sees of an answer: while it streams, and what stays in the notebook."""
