"""Text that must not be seen in a log, an exception or a repr."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Sensitive:
    """A code, a key or a message with a code in it. Only `reveal()` shows it."""

    _text: str

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Sensitive(***)"

    __str__ = __repr__
