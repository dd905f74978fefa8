"""The API as a caller meets it, and the clocks."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp

from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject

_MOST_SKEW = 5.0
"""Seconds. Headers tell whole ones, and answers are on their way for some."""
_TURNED_AWAY = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
"""By us and by a JWT authorizer; by an IAM authorizer."""
_LOGS = "look at ./salvo logs api --since 10m"


async def check_health(subject: Subject) -> list[Finding]:
    url = f"{subject.api}/v1/health"
    try:
        async with subject.http.get(url, allow_redirects=False) as answer:
            findings = _skew("clock against the API", answer.headers.get("Date"), subject.now())
    except (aiohttp.ClientError, TimeoutError) as error:
        return [
            fail("API", f"{url} does not answer ({type(error).__name__})", "is the address right, is a proxy between?")
        ]
    if answer.status != HTTPStatus.OK:
        return [fail("API", f"GET /v1/health answers {answer.status}", _LOGS), *findings]
    return [ok("API", f"answers at {subject.api}"), *findings]


async def check_strangers(subject: Subject) -> list[Finding]:
    """Who has no key is turned away. The body asks for nothing, so that even an open API would send nothing."""
    try:
        async with subject.http.post(f"{subject.api}/v1/verifications", json={}, allow_redirects=False) as answer:
            if answer.status in _TURNED_AWAY:
                return [ok("strangers", f"without a key: {answer.status}")]
            return [fail("strangers", f"a POST without a key is answered {answer.status}, not 401", _LOGS)]
    except (aiohttp.ClientError, TimeoutError) as error:
        return [fail("strangers", f"the API does not answer ({type(error).__name__})", _LOGS)]


async def check_clock(subject: Subject) -> list[Finding]:
    async with subject.aws.client("sts") as sts:
        answer = await sts.get_caller_identity()
    return _skew("clock against AWS", answer["ResponseMetadata"]["HTTPHeaders"].get("date"), subject.now())


def _skew(about: str, date: str | None, now: float) -> list[Finding]:
    """Codes expire by the functions' clock; what runs here, such as a caller that counts down, should agree with it."""
    try:
        seconds = now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return [warn(about, "it tells no time", "is a proxy between?")]
    if abs(seconds) <= _MOST_SKEW:
        return [ok(about, f"within {_MOST_SKEW:.0f} s")]
    side = "ahead" if seconds > 0 else "behind"
    return [
        warn(about, f"this machine is {abs(seconds):.0f} s {side}", "set its clock, such as by NTP: codes expire by it")
    ]
