"""Text that must not be seen in a log, an exception or a repr."""

from __future__ import annotations


class Sensitive:
    """A code, a key or a message with a code in it. Only `reveal()` shows it.

    Not a dataclass: what reads JSON into types would look for an object with its fields, where there is a text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Sensitive(***)"

    __str__ = __repr__
