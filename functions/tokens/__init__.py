"""Signed results: what a caller's other services verify by themselves."""
