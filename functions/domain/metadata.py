"""What a caller may attach to a verification, to find it back among its own things."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.errors import InvalidRequest

MOST_ENTRIES = 5
MOST_BYTES = 128
"""Names and values together: a number's whole record has to stay under 1 kB, the size of one write unit."""


def parse_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Raises InvalidRequest where it is too much."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if "" in metadata:
        raise InvalidRequest("each entry of metadata has a name")  # DynamoDB knows no empty one
    if not all(name.isprintable() and value.isprintable() for name, value in metadata.items()):
        raise InvalidRequest("metadata is printable text")  # SQS takes no control characters
    if len(metadata) > MOST_ENTRIES or size > MOST_BYTES:
        raise InvalidRequest(f"metadata has at most {MOST_ENTRIES} entries and {MOST_BYTES} bytes")
    return tuple(sorted(metadata.items()))
