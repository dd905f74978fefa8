"""What Tencent's codes for refusals mean, be they a whole call's or of the message in it.

Source: PyPI `tencentcloud-sdk-python-sms` 3.1.153, errorcodes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from functions.domain.delivery import Outcome, Scope

Meaning: TypeAlias = tuple[Outcome, Scope]

_GROUPS: tuple[tuple[Outcome, Scope, str, str], ...] = (
    # Too often to this number.
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "LimitExceeded", "PhoneNumberThirtySecondLimit"),
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "LimitExceeded", "PhoneNumberOneHourLimit PhoneNumberDailyLimit"),
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "LimitExceeded", "PhoneNumberSameContentDailyLimit"),
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "LimitExceeded", "DeliveryFrequencyLimit"),
    # Too often from this account.
    (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER, "LimitExceeded", "GlobalSmsSendingRateLimit"),
    # The caps that our account has set itself: for all its messages, and for some countries.
    (Outcome.CONFIG, Scope.PROVIDER, "LimitExceeded", "AppDailyLimit DailyLimit"),
    (
        Outcome.CONFIG,
        Scope.ROUTE,
        "LimitExceeded",
        "AppMainlandChinaDailyLimit AppGlobalDailyLimit AppCountryOrRegionDailyLimit",
    ),
    # A country that the operator did not put on the application's list of those that messages may go to.
    (Outcome.CONFIG, Scope.FORBIDDEN, "LimitExceeded", "AppCountryOrRegionInBlacklist"),
    # Our request.
    (Outcome.CONFIG, Scope.PROVIDER, "LimitExceeded", "PhoneNumberCountLimit"),
    (Outcome.CONFIG, Scope.PROVIDER, "FailedOperation", "FailResolvePacket JsonParseFail"),
    (Outcome.CONFIG, Scope.PROVIDER, "UnsupportedOperation", "ContainDomesticAndInternationalPhoneNumber"),
    # The number: none, or one that wants no messages.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, "InvalidParameterValue", "IncorrectPhoneNumber"),
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, "FailedOperation", "PhoneNumberParseFail PhoneNumberInBlacklist"),
    # A country that Tencent does not reach.
    (Outcome.REJECTED_NUMBER, Scope.ROUTE, "UnsupportedOperation", "UnsupportedRegion"),
    # Blocked words; a variable that the template does not take.
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, "FailedOperation", "ContainSensitiveWord"),
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, "InvalidParameter", "DirtyWordFound"),
    (
        Outcome.REJECTED_CONTENT,
        Scope.ROUTE,
        "InvalidParameterValue",
        "ProhibitedUseUrlInTemplateParameter ContentLengthLimit",
    ),
    (
        Outcome.CONFIG,
        Scope.ROUTE,
        "InvalidParameterValue",
        "TemplateParameterFormatError TemplateParameterLengthLimit",
    ),
    # The template and the signature that the route names.
    (Outcome.CONFIG, Scope.ROUTE, "FailedOperation", "SignatureIncorrectOrUnapproved TemplateIncorrectOrUnapproved"),
    (Outcome.CONFIG, Scope.ROUTE, "FailedOperation", "TemplateParamSetNotMatchApprovedTemplate"),
    (Outcome.CONFIG, Scope.ROUTE, "FailedOperation", "TemplateUnapprovedOrNotExist MarketingSendTimeConstraint"),
    # The account's money and application; our clock and our signature.
    (Outcome.CONFIG, Scope.PROVIDER, "FailedOperation", "InsufficientBalanceInSmsPackage"),
    (Outcome.CONFIG, Scope.PROVIDER, "InvalidParameterValue", "SdkAppIdNotExist"),
    (Outcome.CONFIG, Scope.PROVIDER, "InternalError", "RequestTimeException SigFieldMissing SigVerificationFail"),
    # Tencent waited for its own back end in vain: it may have sent the message.
    (Outcome.UNKNOWN, Scope.PROVIDER, "InternalError", "SendAndRecvFail Timeout"),
    # Unnamed failures of this message.
    (Outcome.TRANSIENT, Scope.ROUTE, "FailedOperation", "OtherError ParametersOtherError"),
)
_MEANINGS: Mapping[str, Meaning] = {
    f"{family}.{name}": (outcome, scope) for outcome, scope, family, names in _GROUPS for name in names.split()
}
_FAMILIES: Mapping[str, Meaning] = {
    "AuthFailure": (Outcome.CONFIG, Scope.PROVIDER),
    "FailedOperation": (Outcome.CONFIG, Scope.ROUTE),
    "InternalError": (Outcome.TRANSIENT, Scope.PROVIDER),
    "InvalidParameter": (Outcome.CONFIG, Scope.ROUTE),
    "InvalidParameterValue": (Outcome.CONFIG, Scope.ROUTE),
    # It may be the number's: nobody else is asked then.
    "LimitExceeded": (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER),
    "MissingParameter": (Outcome.CONFIG, Scope.ROUTE),
    "RequestLimitExceeded": (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER),
    "UnauthorizedOperation": (Outcome.CONFIG, Scope.PROVIDER),
    # Templates for China and for abroad, mostly.
    "UnsupportedOperation": (Outcome.CONFIG, Scope.ROUTE),
}
"""By what stands before the dot, for codes that are in no list."""

_WAIT: Mapping[str, int] = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": 30,
    "LimitExceeded.PhoneNumberOneHourLimit": 3_600,
    "LimitExceeded.PhoneNumberDailyLimit": 86_400,
    "LimitExceeded.PhoneNumberSameContentDailyLimit": 86_400,
}


def meaning_of(code: str) -> Meaning | None:
    """None for a code of no family that is known: it proves nothing."""
    return _MEANINGS.get(code) or _FAMILIES.get(code.partition(".")[0])


def wait_after(code: str) -> int | None:
    """Seconds until the period that the code speaks of has surely passed."""
    return _WAIT.get(code)
