"""What can go wrong, in the words of the interface.

    VerificationError
    ├── Refused                     the caller asked for what the rules do not allow
    │   ├── InvalidRequest
    │   ├── InvalidPhoneNumber
    │   ├── InvalidCode             not shaped like a code: never counted as an attempt
    │   ├── InvalidSignature        a receipt that its provider did not sign, or not now
    │   ├── NumberTypeBlocked
    │   ├── CountryBlocked          no route of the service leads to the number's country
    │   ├── BlockedByGuard          a rule against abuse; reason names it, retry_after says when it may be over
    │   ├── ChallengeRequired       with a solved challenge it may go out
    │   ├── RateLimited             retry_after says when
    │   ├── NotFound
    │   ├── Conflict                the same request is under way, or the state does not allow it
    │   ├── IdempotencyMismatch     the key was used for another request
    │   ├── Expired
    │   ├── AlreadyApproved
    │   ├── Canceled
    │   └── AttemptsExhausted
    └── DeliveryFailed              the provider did not take the message
        ├── DeliveryRejected        for good: another try would end the same
        └── DeliveryUnavailable     for now: nothing was sent, the request may be repeated

Each class has a stable `code`; HTTP statuses are in web/problems.py. A wrong guess is a result, not an error.
"""

from __future__ import annotations


class VerificationError(Exception):
    """`detail` is for people and holds no number, code or key; `retry_after` is in seconds."""

    code = "error"

    def __init__(self, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.retry_after = retry_after


class Refused(VerificationError):
    code = "refused"


class InvalidRequest(Refused):
    code = "invalid_request"


class InvalidPhoneNumber(Refused):
    code = "invalid_number"


class InvalidCode(Refused):
    code = "invalid_code"


class InvalidSignature(Refused):
    code = "invalid_signature"


class NumberTypeBlocked(Refused):
    code = "number_type_blocked"


class CountryBlocked(Refused):
    code = "country_blocked"


class BlockedByGuard(Refused):
    code = "blocked_by_guard"

    def __init__(self, detail: str = "", *, reason: str, retry_after: int | None = None) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.reason = reason


class ChallengeRequired(Refused):
    code = "challenge_required"

    def __init__(self, detail: str = "", *, reason: str, kind: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.kind = kind


class RateLimited(Refused):
    code = "rate_limited"


class NotFound(Refused):
    code = "not_found"


class Conflict(Refused):
    code = "conflict"


class IdempotencyMismatch(Refused):
    code = "idempotency_mismatch"


class Expired(Refused):
    code = "expired"


class AlreadyApproved(Refused):
    code = "already_approved"


class Canceled(Refused):
    code = "canceled"


class AttemptsExhausted(Refused):
    code = "attempts_exhausted"


class DeliveryFailed(VerificationError):
    code = "delivery_failed"


class DeliveryRejected(DeliveryFailed):
    code = "delivery_rejected"


class DeliveryUnavailable(DeliveryFailed):
    code = "delivery_unavailable"
