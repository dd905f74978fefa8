"""What happens: one use case a file, async, seeing ports only."""
