"""How many SMS a text costs, counted as the networks do (3GPP TS 23.038, parts joined by TS 23.040's 6-byte header).

One character outside GSM-7 turns the whole text into UCS-2 and leaves 70 characters of 160.
"""

from __future__ import annotations

from enum import StrEnum

from functions.domain.frozen import frozen

# TS 23.038 section 6.2.1, without the escape, which is no character. Of c with cedilla it has the capital only.
_DEFAULT = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Section 6.2.1.1: each goes behind an escape, and so costs two septets.
_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM7 = _DEFAULT | _EXTENSION

_LAST_SINGLE_UNIT = "\uffff"


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"

    @property
    def single(self) -> int:
        """Units of a text that goes alone: 140 octets."""
        return 160 if self is Encoding.GSM7 else 70

    @property
    def part(self) -> int:
        """Units of each part of a longer text: the header takes 6 octets."""
        return 153 if self is Encoding.GSM7 else 67


@frozen()
class Segments:
    encoding: Encoding
    units: int
    """Septets, or UTF-16 code units."""
    count: int
    """SMS to pay for. An empty text is one too."""


def count_segments(text: str) -> Segments:
    encoding = Encoding.GSM7 if _GSM7.issuperset(text) else Encoding.UCS2
    units = len(text) + _pairs(text, encoding)
    return Segments(encoding, units, 1 if units <= encoding.single else _parts(text, encoding))


def _pairs(text: str, encoding: Encoding) -> int:
    """Characters of two units."""
    if encoding is Encoding.GSM7:
        return 0 if _EXTENSION.isdisjoint(text) else sum(character in _EXTENSION for character in text)
    return sum(character > _LAST_SINGLE_UNIT for character in text)


def _parts(text: str, encoding: Encoding) -> int:
    """Fills part after part. A pair that does not fit goes to the next part as a whole, so a unit may stay empty."""
    parts, used = 1, 0
    for character in text:
        width = 1 + _pairs(character, encoding)
        if used + width > encoding.part:
            parts, used = parts + 1, 0
        used += width
    return parts
