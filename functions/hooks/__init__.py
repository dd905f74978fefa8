"""What a start is shown to before a code goes out: challenges that were solved, and the operator's own judgement."""
