"""What becomes of a message of the queue."""

from __future__ import annotations

from enum import Enum, auto

from functions.domain.batch import Ending
from functions.domain.frozen import frozen


class Disposition(Enum):
    DONE = auto()
    AGAIN = auto()
    """Nothing was sent: deliver it again, soon."""
    POISON = auto()
    """It can never be carried out: to the dead letters."""


@frozen()
class Carried:
    """A message, and what the send that it asks for came to."""

    disposition: Disposition
    ending: Ending | None = None
    """None: nobody knows yet, it is to be carried out again."""
    verification: str | None = None
    """Whose code it was; None where nothing is stored."""
    again_in: int = 0
    """Seconds that another delivery has to wait at least: sooner the account has no place for it."""
