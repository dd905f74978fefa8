"""What is wrong with a campaign, in sentences that show no whole number."""

from __future__ import annotations

import re

_HEAD_OF_A_NUMBER = re.compile(r"[0-9]{3,}(?=[0-9]{2})")
_LONGEST_QUOTE = 40


class Unusable(Exception):
    """Nothing is sent, or nothing more. The message says why, and what to do."""


class BadLine(Exception):
    """A line that nothing can be sent for. `code` is one of the API's, or `duplicate`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def quoted(text: str) -> str:
    """Something of the file, as it may be shown: of five digits and more in a row the last two."""
    shown = "".join(character if character.isprintable() else "�" for character in text[: 4 * _LONGEST_QUOTE])
    shown = _HEAD_OF_A_NUMBER.sub("…", shown)
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"
