"""How many SMS a text is (3GPP TS 23.038): most vendors count and bill by them."""

from __future__ import annotations

from math import ceil

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")


def is_gsm(text: str) -> bool:
    """Whether it goes out in seven bits a character."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def parts_of(text: str) -> int:
    if is_gsm(text):
        return _parts(sum(2 if character in _EXTENDED else 1 for character in text), 160, 153)
    return _parts(len(text.encode("utf-16-be")) // 2, 70, 67)


def in_gsm(text: str) -> str:
    """What arrives where a text was declared to be of that alphabet, and is not."""
    return "".join(character if is_gsm(character) else "?" for character in text)


def _parts(length: int, single: int, part: int) -> int:
    return 1 if length <= single else ceil(length / part)
