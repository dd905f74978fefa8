"""Routes that are written right, and send other than their writer thinks. No AWS is needed for it."""

from __future__ import annotations

from collections.abc import Iterator

from functions.domain.routing import Route
from functions.domain.service import Service
from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject

_MOST_DIGITS = {"tencent": 6}
"""Of a template's variable."""
_WITHOUT_RECEIPTS = frozenset({"aliyun_batch", "sinch_batch", "sns", "yunpian_multi"})


async def check_routes(subject: Subject) -> list[Finding]:
    told = bool(subject.stack.parameters.get("ReceiptsUrl"))
    services = subject.configuration.services.values()
    found = [finding for service in services for finding in _faults(service, receipts=told)]
    return found or [ok("routes", f"of {len(services)} services")]


def _faults(service: Service, *, receipts: bool) -> Iterator[Finding]:
    about = f"routes of {service.name}"
    for name, most in _MOST_DIGITS.items():
        if service.code_length > most and name in _named(service.routes):
            found = f"{name} takes codes of up to {most} digits, and these have {service.code_length}"
            yield fail(about, found, f"code_length = {most}, or take {name} out of them")
    silent = sorted(_named(_with_others(service)) & _WITHOUT_RECEIPTS)
    if service.confirm_within is not None and silent:
        found = f"{' and '.join(silent)}: nobody hears whether a message arrived, so confirm_within sends each twice"
        yield warn(about, found, "take confirm_within out, or those")
    elif service.confirm_within is not None and _with_others(service) and not receipts:
        found = "no receipts come, for there is no ReceiptsUrl, so confirm_within sends each message twice"
        yield warn(about, found, "take confirm_within out, or set ReceiptsUrl")


def _with_others(service: Service) -> list[Route]:
    """Those in which somebody else could send a message once more."""
    return [route for route in service.routes if len(route.providers) > 1]


def _named(routes: list[Route] | tuple[Route, ...]) -> set[str]:
    return {via.provider for route in routes for via in route.providers}
