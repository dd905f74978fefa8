"""What is typed unseen: keys and tokens, which no screen and no shell's history is to keep."""

from __future__ import annotations

import sys
from getpass import getpass


def typed_unseen(prompt: str) -> str:
    """Without space around it; empty where nothing was typed. Where nobody types, a line of standard input."""
    try:
        return (getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()).strip()
    except EOFError:  # Ctrl-D
        return ""
