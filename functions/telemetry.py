"""Logs and metrics, by Powertools for AWS Lambda: what the journal hears becomes a line, and is counted.

A line is one JSON object with names and outcomes only. The counts go out at the end of each invocation in CloudWatch's
embedded metric format: as a line too, so that nothing waits for a call.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from functions.domain.delivery import DeliveryStatus, Outcome
from functions.log_lines import Lines

NAMESPACE = "Salvo"
"""Of the metrics in CloudWatch. Their dimension is `stack`; what is about a provider, a rule of the guard or the money
of a service is told by that as well. What was sent and came to use is told of each region, too: two metrics more for
each country to which codes are sent, paid for in the hours in which they are."""

Handler = Callable[[dict[str, Any], Any], Any]
Facts = Mapping[str, str | float | None]

_LOGGER = "salvo"
_QUIET = ("aiobotocore", "aiohttp", "asyncio", "aws_lambda_powertools", "boto", "botocore", "mangum", "urllib3")
"""Libraries whose DEBUG lines print request bodies, and INFO lines paths with tokens in them."""
_NOT_TOLD = ("exception_notes", "function_arn", "function_memory_size", "taskName")
"""Of Powertools' keys: what a library wrote on an exception, and what each line of a log group has in common. And
asyncio's numbers of tasks."""
_OF_A_REQUEST = ("caller",)
_SERVER_ERROR = 500

_SENDS: Mapping[str, str] = {
    Outcome.ACCEPTED: "Sent",
    Outcome.REJECTED_NUMBER: "SendRejected",
    Outcome.REJECTED_CONTENT: "SendRejected",
    Outcome.THROTTLED_RECIPIENT: "SendRejected",
    Outcome.THROTTLED_ACCOUNT: "SendFailed",
    Outcome.CONFIG: "SendFailed",
    Outcome.TRANSIENT: "SendFailed",
    Outcome.UNKNOWN: "SendUnknown",
}
_RECEIPTS: Mapping[str, str] = {
    DeliveryStatus.DELIVERED: "Delivered",
    DeliveryStatus.FAILED: "Undelivered",
    DeliveryStatus.REJECTED: "Undelivered",
}
_CHECKS: Mapping[str, str] = {"approved": "Approved", "wrong": "WrongCode"}
_CIRCUITS: Mapping[str, str] = {"opened": "CircuitOpened", "still_open": "CircuitOpened"}
_DECISIONS: Mapping[str, str] = {"denied": "Denied", "challenged": "Challenged"}
_BREAKERS: Mapping[str, str] = {"opened": "ConversionClosed", "still_open": "ConversionClosed"}
_SPRAYING: Mapping[str, str] = {"noticed": "Spraying"}
_BY_OUTCOME = {
    "send": _SENDS,
    "receipt": _RECEIPTS,
    "check": _CHECKS,
    "circuit": _CIRCUITS,
    "decision": _DECISIONS,
    "breaker": _BREAKERS,
    "spraying": _SPRAYING,
}
_BY_EVENT: Mapping[str, str] = {"buried": "Buried", "failover": "Failover"}
_VALUES = {
    "send": ("SendMilliseconds", MetricUnit.Milliseconds, "milliseconds"),
    "spent": ("BudgetPercent", MetricUnit.Percent, "percent"),
}
"""By event: a metric of its values, and the fact that is one."""
BY_REGION = frozenset({"Sent", "Approved"})
METRICS = {
    *("Refused", "Unavailable", "Stale"),
    *(metric for metrics in (*_BY_OUTCOME.values(), _BY_EVENT) for metric in metrics.values()),
    *(name for name, _, _ in _VALUES.values()),
}
_DIMENSIONS = {"decision": "rule", "spent": "service"}
"""By event: the fact by which it is told as well. Of all others it is the provider, where they have one."""


class JsonLines(LambdaPowertoolsFormatter):
    """Powertools' lines without the text of exceptions: nobody can promise what a library puts there."""

    def __init__(self) -> None:
        super().__init__(utc=True, use_rfc3339=True, serialize_stacktrace=False, location=None)

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", None)
        if facts is None or record.exc_info:
            return super().format(record)
        try:
            return self._line(record, facts)
        except UnicodeEncodeError:  # half of a surrogate pair, which Powertools passes on
            return super().format(record)

    def _line(self, record: logging.LogRecord, facts: Facts) -> str:
        """What Powertools makes of the journal's lines, in a fifth of its time: a batch has two for each code."""
        told = {"level": record.levelname, "message": record.msg, "timestamp": self.formatTime(record)}
        for name, value in self.log_format.items():
            if value is not None and name not in _NOT_TOLD:
                told.setdefault(name, value)
        trace = self._get_latest_trace_id()
        if trace is not None:
            told["xray_trace_id"] = trace
        for name, fact in facts.items():
            told.setdefault(name, fact)
        return msgspec.json.encode(told).decode()

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        frames, trace = [], ei[2]
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        return "\n".join(frames)

    def serialize(self, log: Any) -> str:
        for name in _NOT_TOLD:
            log.pop(name, None)
        # Apart from the record's own attributes, which they can't replace.
        for name, fact in log.pop("facts", {}).items():
            log.setdefault(name, fact)
        return super().serialize(log)


@dataclass(slots=True)
class _Told:
    """What is told in one line."""

    counts: Counter[str] = field(default_factory=Counter)
    values: list[tuple[str, MetricUnit, float]] = field(default_factory=list)


class Meter:
    """Counts what the journal hears, and tells it at the end of an invocation."""

    def __init__(self) -> None:
        self.stack = "salvo"
        self._told: defaultdict[tuple[str, str] | None, _Told] = defaultdict(_Told)
        """By the dimension beside the stack."""
        self._of_regions: defaultdict[str, _Told] = defaultdict(_Told)

    def count(self, event: str, facts: Facts) -> None:
        metric, dimension = _metric(event, facts), _dimension(event, facts)
        if metric is not None:
            self._told[dimension].counts[metric] += 1
        if metric in BY_REGION and facts.get("region"):
            self._of_regions[str(facts["region"])].counts[metric] += 1
        if event in _VALUES:
            name, unit, fact = _VALUES[event]
            self._told[dimension].values.append((name, unit, float(facts.get(fact) or 0)))

    def flush(self) -> None:
        """Whatever it raises: nothing of it is told again."""
        try:
            for dimension, told in self._told.items():
                self._tell(told, dimension)
            for region, told in self._of_regions.items():
                self._tell_of_region(told, region)
        finally:
            self._told.clear()
            self._of_regions.clear()

    def _tell(self, told: _Told, dimension: tuple[str, str] | None) -> None:
        metrics = _no_metrics()
        metrics.set_default_dimensions(stack=self.stack)
        if dimension is not None:
            metrics.add_dimensions(**dict([dimension]))
        _write(metrics, told)

    def _tell_of_region(self, told: _Told, region: str) -> None:
        """Not for the stack: there they are counted with their providers."""
        metrics = _no_metrics()
        metrics.add_dimension("stack", self.stack)
        metrics.add_dimension("region", region)
        _write(metrics, told)


def _no_metrics() -> EphemeralMetrics:
    # Without the service of the environment, which would be a dimension too, and unknown to the alarms.
    return EphemeralMetrics(namespace=NAMESPACE, service="")


def _write(metrics: EphemeralMetrics, told: _Told) -> None:
    for name, unit, value in told.values:  # told by the hundred, as they come
        metrics.add_metric(name, unit, value)
    for name, count in told.counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    metrics.flush_metrics()


_meter = Meter()
_lines = Lines()
_handler = logging.StreamHandler(_lines)
# Without samples of DEBUG lines: for them Powertools would forget our level in each invocation.
_logger = Logger(
    service=_LOGGER, level=logging.INFO, sampling_rate=0, logger_handler=_handler, logger_formatter=JsonLines()
)
_logger.remove_keys(["service", "sampling_rate"])  # in our lines a service is a tenant
_journal = logging.getLogger(_LOGGER)
_journal.propagate = False  # the root logger has the same handler


def configure(level: str, stack: str) -> None:
    """Sends every logger's lines to standard error, in place of Lambda's own handler. `stack` names the metrics."""
    _lines.stream = sys.stderr
    logging.basicConfig(level=level, handlers=[_handler], force=True)
    _journal.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    _meter.stack = stack


def observed(handler: Handler) -> Handler:
    """The handler, with its request's id in all lines and its metrics told when it ends, however it does."""
    # The event is never logged, whatever the environment says: it holds codes and keys.
    named = _logger.inject_lambda_context(handler, log_event=False)

    @functools.wraps(handler)
    def invoke(event: dict[str, Any], context: Any) -> Any:
        _logger.remove_keys(_OF_A_REQUEST)
        _lines.gathers = True
        try:
            return named(event, context)
        finally:
            _flush()
            _lines.gathers = False
            _lines.write_out()

    return invoke


def name_caller(name: str) -> None:
    """Has all further lines of this invocation say on whose behalf."""
    _logger.append_keys(caller=name)


def journal(event: str, /, **facts: str | float | None) -> None:
    """Facts that are None are left out."""
    if _journal.isEnabledFor(logging.INFO):
        # Made here, for logging would look for the line of code that it comes from.
        record = logging.LogRecord(_LOGGER, logging.INFO, __file__, 0, event, (), None)
        record.__dict__["facts"] = {name: fact for name, fact in facts.items() if fact is not None}
        _journal.handle(record)
    _meter.count(event, facts)


def _flush() -> None:
    try:
        _meter.flush()
    except Exception:  # noqa: BLE001 - the work is done: a batch without its answer would be delivered again, and sent
        _journal.exception("metrics_lost")


def _metric(event: str, facts: Facts) -> str | None:
    if event in _BY_OUTCOME:
        return _BY_OUTCOME[event].get(str(facts.get("outcome")))
    if event == "refused":
        return "Unavailable" if int(facts.get("status") or 0) >= _SERVER_ERROR else "Refused"
    if event == "left":
        return "Stale" if facts.get("reason") == "too_late" else None
    return _BY_EVENT.get(event)


def _dimension(event: str, facts: Facts) -> tuple[str, str] | None:
    name = _DIMENSIONS.get(event, "provider")
    value = facts.get(name)
    return None if value is None else (name, str(value))
