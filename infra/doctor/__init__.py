"""Examines a deployed stack from outside, one file a concern; command.py puts them together."""

from infra.doctor.command import add_arguments, main

__all__ = ["add_arguments", "main"]
