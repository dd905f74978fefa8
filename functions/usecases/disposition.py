"""What becomes of a message of the queue."""

from __future__ import annotations

from enum import Enum, auto


class Disposition(Enum):
    DONE = auto()
    AGAIN = auto()
    """Nothing was sent: deliver it again, soon."""
    POISON = auto()
    """It can never be carried out: to the dead letters."""
