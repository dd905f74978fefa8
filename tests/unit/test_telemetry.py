"""Logs: one JSON object a line, and nothing of what a library says in confidence (API-5). Metrics: what was counted."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from hypothesis import given
from hypothesis import strategies as st

from functions import telemetry
from functions.runtime import Runtime
from functions.telemetry import METRICS, NAMESPACE, configure, journal, name_caller, observed

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
LIBRARIES = ["botocore.endpoint", "aiobotocore.httpchecksum", "aiohttp.access", "mangum.http", "asyncio", "urllib3"]

ours = logging.getLogger("salvo")


class NotForLogs(Exception):
    """What a library might raise: its text is not ours to vouch for."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Puts the test runner's own handlers, and every logger's level, back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {logger: logger.level for logger in loggers()}
    root.handlers.clear()
    telemetry._logger.remove_keys(["cold_start", "function_name", "function_request_id"])
    with redirect_stdout(io.StringIO()):
        telemetry._meter.flush()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger in loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


def loggers() -> list[logging.Logger]:
    return [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]


def logged(log: Callable[[], None], level: str = "INFO") -> list[dict[str, Any]]:
    """The lines that a process writes which was configured at `level`."""
    with redirect_stderr(io.StringIO()) as stderr:
        configure(level, "a-stack")
        log()
    *lines, rest = stderr.getvalue().split("\n")
    assert rest == ""
    return [json.loads(line) for line in lines]


def at_every_level(name: str) -> Callable[[], None]:
    def log() -> None:
        for level in LEVELS:
            logging.getLogger(name).log(level, "a body with a number in it")

    return log


def ask_the_gateway() -> None:
    raise NotForLogs("+4915112345678 123456")


def crash() -> None:
    try:
        ask_the_gateway()
    except NotForLogs:
        ours.exception("crashed")


def crash_with_a_note() -> None:
    try:
        ask_the_gateway()
    except NotForLogs as error:
        error.add_note("+4915112345678")
        ours.exception("crashed")


def crash_twice() -> None:
    try:
        ask_the_gateway()
    except NotForLogs as error:
        another = RuntimeError("+4915112345678")
        another.__cause__ = error
        ours.error("crashed", exc_info=another)


def leave_a_failed_task_behind() -> None:
    async def fail() -> None:
        ask_the_gateway()

    async def work() -> None:
        failed = asyncio.create_task(fail())
        await asyncio.wait([failed])

    runtime = Runtime()
    runtime.run(work())
    runtime.close()
    asyncio.set_event_loop(None)


def test_an_event_is_a_line_with_its_level_its_time_and_its_facts() -> None:
    (line,) = logged(lambda: journal("send", provider="gateway", milliseconds=12, price=0.5))

    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert line == {"level": "INFO", "message": "send", "provider": "gateway", "milliseconds": 12, "price": 0.5}


def test_a_fact_does_not_replace_what_a_line_says_of_itself() -> None:
    (line,) = logged(lambda: journal("send", message="another", level="ERROR", name="n", args="a"))

    assert (line["message"], line["level"], line["name"], line["args"]) == ("send", "INFO", "n", "a")


@given(
    facts=st.dictionaries(
        st.sampled_from(["provider", "outcome", "milliseconds", "message", "level", "cold_start", "name"]),
        st.text(st.characters(exclude_categories=["Cs"])) | st.integers(0, 2**53) | st.floats(-1e9, 1e9),
    ),
    of_the_request=st.dictionaries(
        st.sampled_from(["function_name", "cold_start", "caller", "function_arn"]), st.text(max_size=5) | st.booleans()
    ),
    trace=st.none() | st.just("Root=1-abc;Parent=def"),
)
def test_a_line_of_the_journal_is_what_powertools_would_make_of_it(
    facts: dict[str, Any], of_the_request: dict[str, Any], trace: str | None
) -> None:
    formatter = telemetry.JsonLines()
    formatter.append_keys(**of_the_request)
    record = logging.LogRecord("salvo", logging.INFO, "file", 7, "send", (), None)
    record.__dict__["facts"] = facts
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("_X_AMZN_TRACE_ID", raising=False)
        if trace is not None:
            environment.setenv("_X_AMZN_TRACE_ID", trace)

        line, theirs = formatter.format(record), LambdaPowertoolsFormatter.format(formatter, record)

    assert json.loads(line) == json.loads(theirs)


def test_facts_that_are_none_are_left_out() -> None:
    (line,) = logged(lambda: journal("send", provider="gateway", reason=None, price=None))

    assert line.keys() == {"level", "timestamp", "message", "provider"}


def test_facts_that_are_nought_or_empty_are_told() -> None:
    (line,) = logged(lambda: journal("send", milliseconds=0, reason=""))

    assert (line["milliseconds"], line["reason"]) == (0, "")


@pytest.mark.parametrize(
    "text",
    ["two\nlines", "tab\tand\rreturn", 'quote " and \\', "é 码 😀", "\x00\x1b[31m", "\u2028", "\ud800"],
    ids=ascii,
)
def test_an_event_is_one_line_whatever_it_says(text: str) -> None:
    (line,) = logged(lambda: journal("send", reason=text))

    assert line["reason"] == text


def test_a_text_is_put_together_from_its_parts() -> None:
    (line,) = logged(lambda: ours.warning("%s of %d", "one", 2))

    assert (line["message"], line["level"]) == ("one of 2", "WARNING")


@pytest.mark.parametrize("failure", [crash, crash_with_a_note, crash_twice])
def test_an_exceptions_text_is_not_logged(failure: Callable[[], None]) -> None:
    shown = json.dumps(logged(failure))

    assert "crashed" in shown
    assert "+49151" not in shown
    assert "123456" not in shown


def test_the_text_of_an_exception_that_nobody_asked_for_is_not_logged() -> None:
    """The line of asyncio itself has the whole task in it."""
    (line,) = logged(leave_a_failed_task_behind)

    assert line["message"] == "Task exception was never retrieved"
    assert (line["level"], line["exception_name"]) == ("ERROR", "NotForLogs")
    assert "+49151" not in json.dumps(line)


def test_an_exceptions_class_and_trace_are_logged() -> None:
    (line,) = logged(crash)

    assert (line["message"], line["level"], line["exception_name"]) == ("crashed", "ERROR", "NotForLogs")
    outer, inner = line["exception"].splitlines()
    assert outer.endswith(" crash")
    assert inner.startswith(f"{__file__}:")
    assert inner.endswith(" ask_the_gateway")


def test_an_exception_that_was_never_raised_has_no_trace() -> None:
    (line,) = logged(lambda: ours.error("crashed", exc_info=NotForLogs("+4915112345678")))

    assert (line["exception_name"], line["exception"]) == ("NotForLogs", "")


def test_without_an_exception_there_is_no_error() -> None:
    (line,) = logged(lambda: ours.log(logging.ERROR, "crashed", exc_info=True))

    assert line.keys() == {"level", "timestamp", "message"}


@pytest.mark.parametrize("level", LEVELS)
def test_our_own_lines_are_logged_from_the_level_on(level: int) -> None:
    lines = logged(at_every_level("salvo.part"), logging.getLevelName(level))

    assert [line["level"] for line in lines] == [logging.getLevelName(each) for each in LEVELS if each >= level]


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
def test_a_library_is_heard_from_its_warnings_on_even_at_debug(name: str, level: str) -> None:
    assert [line["level"] for line in logged(at_every_level(name), level)] == ["WARNING", "ERROR"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_is_never_louder_than_we_are(name: str) -> None:
    assert [line["level"] for line in logged(at_every_level(name), "ERROR")] == ["ERROR"]


def test_lambdas_own_handler_is_replaced() -> None:
    stream = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(stream))

    assert len(logged(lambda: journal("send"))) == 1
    assert stream.getvalue() == ""


def test_to_configure_twice_logs_once() -> None:
    configure("DEBUG", "a-stack")

    assert len(logged(lambda: journal("send"))) == 1


def test_standard_output_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(lambda: journal("send"))

    assert capsys.readouterr().out == ""


@dataclass(frozen=True, slots=True)
class Context:
    aws_request_id: str = "8f6e1c1e-0000-4000-8000-000000000001"
    function_name: str = "sender"
    memory_limit_in_mb: str = "512"
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:sender"


def invoke(work: Callable[[], None], event: dict[str, Any] | None = None) -> None:
    observed(lambda _event, _context: work())(event or {}, Context())


def measured(capsys: pytest.CaptureFixture[str], *facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What an invocation tells CloudWatch in which the journal heard these facts."""

    def work() -> None:
        for each in facts:
            journal(each["event"], **{name: fact for name, fact in each.items() if name != "event"})

    logged(lambda: invoke(work))
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def sums(line: dict[str, Any]) -> dict[str, float]:
    """The metrics of a line, by name."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: sum(line[metric["Name"]]) for metric in directive["Metrics"]}


def send(outcome: str, *, provider: str = "gateway", milliseconds: int = 12) -> dict[str, Any]:
    return {"event": "send", "outcome": outcome, "provider": provider, "milliseconds": milliseconds}


def test_every_line_of_an_invocation_names_its_request() -> None:
    (line,) = logged(lambda: invoke(lambda: journal("send")))

    assert line["function_request_id"] == Context().aws_request_id


def test_a_librarys_line_names_the_request_too() -> None:
    (line,) = logged(lambda: invoke(lambda: logging.getLogger("botocore.retries").warning("again")))

    assert (line["message"], line["function_request_id"]) == ("again", Context().aws_request_id)


def test_the_lines_of_an_invocation_name_its_caller_and_those_of_the_next_do_not() -> None:
    def work() -> None:
        name_caller("checkout")
        journal("send")

    def both() -> None:
        invoke(work)
        invoke(lambda: journal("send"))

    first, second = logged(both)

    assert first["caller"] == "checkout"
    assert "caller" not in second


def test_an_event_is_not_logged_though_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    lines = logged(lambda: invoke(lambda: journal("send"), {"body": "123456"}), "DEBUG")

    assert [line["message"] for line in lines] == ["send"]


@pytest.mark.parametrize(
    ("facts", "metric"),
    [
        (send("accepted"), "Sent"),
        (send("rejected_number"), "SendRejected"),
        (send("rejected_content"), "SendRejected"),
        (send("throttled_recipient"), "SendRejected"),
        (send("throttled_account"), "SendFailed"),
        (send("config"), "SendFailed"),
        (send("transient"), "SendFailed"),
        (send("unknown"), "SendUnknown"),
        ({"event": "receipt", "provider": "gateway", "outcome": "delivered"}, "Delivered"),
        ({"event": "receipt", "provider": "gateway", "outcome": "failed"}, "Undelivered"),
        ({"event": "check", "outcome": "approved"}, "Approved"),
        ({"event": "check", "outcome": "wrong"}, "WrongCode"),
        ({"event": "refused", "status": 429}, "Refused"),
        ({"event": "refused", "status": 503}, "Unavailable"),
        ({"event": "left", "reason": "too_late"}, "Stale"),
        ({"event": "buried"}, "Buried"),
        ({"event": "circuit", "provider": "twilio", "outcome": "opened"}, "CircuitOpened"),
        ({"event": "circuit", "provider": "twilio", "outcome": "still_open"}, "CircuitOpened"),
        ({"event": "failover", "provider": "twilio"}, "Failover"),
        ({"event": "decision", "outcome": "denied", "rule": "ip"}, "Denied"),
        ({"event": "decision", "outcome": "challenged", "rule": "spraying"}, "Challenged"),
        ({"event": "breaker", "kind": "block", "outcome": "opened"}, "ConversionClosed"),
        ({"event": "breaker", "kind": "country", "outcome": "still_open"}, "ConversionClosed"),
        ({"event": "spraying", "outcome": "noticed"}, "Spraying"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_journal_hears_is_counted(
    capsys: pytest.CaptureFixture[str], facts: dict[str, Any], metric: str
) -> None:
    (line,) = measured(capsys, facts, facts)

    assert sums(line)[metric] == 2
    assert metric in METRICS
    assert sums(line).keys() <= METRICS


@pytest.mark.parametrize(
    "facts",
    [
        {"event": "check", "outcome": "expired"},
        {"event": "receipt", "provider": "gateway", "outcome": "not_ours"},
        {"event": "left", "reason": "duplicate"},
        {"event": "canceled"},
        {"event": "decision", "outcome": "allowed"},
        {"event": "breaker", "kind": "block", "outcome": "closed"},
        {"event": "spraying", "outcome": "over"},
    ],
)
def test_what_nobody_has_to_watch_is_not_counted(capsys: pytest.CaptureFixture[str], facts: dict[str, Any]) -> None:
    assert measured(capsys, facts) == []


def test_sends_are_counted_for_the_stack_and_for_the_provider_too(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = measured(capsys, send("accepted"))

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert directive["Dimensions"] == [["stack"], ["stack", "provider"]]
    assert (line["stack"], line["provider"]) == ("a-stack", "gateway")


def test_what_has_no_provider_is_counted_for_the_stack_alone(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = measured(capsys, {"event": "check", "outcome": "approved"})

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stack"]]


@pytest.mark.parametrize(("outcome", "metric"), [("denied", "Denied"), ("challenged", "Challenged")])
def test_abu13_a_denial_is_counted_by_its_rule(capsys: pytest.CaptureFixture[str], outcome: str, metric: str) -> None:
    (line,) = measured(capsys, {"event": "decision", "outcome": outcome, "rule": "unconverted_1k"})

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stack"], ["stack", "rule"]]
    assert (line["rule"], sums(line)) == ("unconverted_1k", {metric: 1})


def test_what_is_spent_is_told_in_percent_of_the_budget_by_service(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = measured(capsys, *({"event": "spent", "service": "shop", "percent": each} for each in (49.5, 50.0)))

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stack"], ["stack", "service"]]
    assert (line["service"], line["BudgetPercent"]) == ("shop", [49.5, 50.0])
    assert directive["Metrics"] == [{"Name": "BudgetPercent", "Unit": "Percent"}]


def test_what_was_sent_and_came_to_use_is_told_by_country(capsys: pytest.CaptureFixture[str]) -> None:
    approved = {"event": "check", "outcome": "approved"}

    lines = measured(
        capsys, send("accepted") | {"region": "DE"}, approved | {"region": "DE"}, approved | {"region": "FR"}
    )

    assert {line["region"]: sums(line) for line in lines if "region" in line} == {
        "DE": {"Sent": 1, "Approved": 1},
        "FR": {"Approved": 1},
    }


def test_what_is_told_by_country_counts_for_the_stack_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = measured(capsys, send("accepted") | {"region": "DE"})

    told = [(directive["Dimensions"], line) for line in lines for directive in line["_aws"]["CloudWatchMetrics"]]
    assert sum(sums(line).get("Sent", 0) for dimensions, line in told if ["stack"] in dimensions) == 1
    assert [dimensions for dimensions, line in told if "region" in line] == [[["stack", "region"]]]


def test_what_nobody_has_to_watch_by_country_is_not_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    lines = measured(capsys, send("unknown") | {"region": "DE"}, {"event": "check", "outcome": "wrong", "region": "DE"})

    assert [line for line in lines if "region" in line] == []


def test_a_service_in_the_environment_does_not_hide_the_metrics_from_the_alarms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powertools would make a dimension of it, and `stack` alone would have no metrics any more."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "payments")

    (line,) = measured(capsys, send("accepted"))

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stack"], ["stack", "provider"]]


def test_providers_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    lines = measured(capsys, send("accepted", provider="one"), send("unknown", provider="other", milliseconds=8000))

    assert {line["provider"]: sums(line) for line in lines} == {
        "one": {"Sent": 1, "SendMilliseconds": 12},
        "other": {"SendUnknown": 1, "SendMilliseconds": 8000},
    }


def test_a_thousand_sends_of_an_invocation_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = measured(capsys, *[send("accepted")] * 1000)

    assert sum(sums(line).get("Sent", 0) for line in lines) == 1000
    assert sum(sums(line).get("SendMilliseconds", 0) for line in lines) == 12_000
    assert all(
        len(line["SendMilliseconds"]) <= 100 for line in lines if "SendMilliseconds" in line
    )  # CloudWatch's limit


def test_an_invocation_tells_of_itself_only(capsys: pytest.CaptureFixture[str]) -> None:
    measured(capsys, send("accepted"))

    assert measured(capsys) == []


def test_an_invocation_that_fails_tells_what_it_counted(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        journal("check", outcome="approved")
        raise NotForLogs

    with pytest.raises(NotForLogs):
        logged(lambda: invoke(fail))

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sums(line) == {"Approved": 1}


def test_an_invocation_has_its_answer_where_its_metrics_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch without an answer would be delivered again, with all that was sent."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "perhaps")  # Powertools raises ValueError for it
    answers: list[Any] = []

    def work(_event: dict[str, Any], _context: Any) -> str:
        journal("check", outcome="approved")
        return "done"

    _, line = logged(lambda: answers.append(observed(work)({}, Context())))

    assert answers == ["done"]
    assert (line["level"], line["message"], line["exception_name"]) == ("ERROR", "metrics_lost", "ValueError")


def test_metrics_that_could_not_be_told_are_not_those_of_the_next_invocation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them may have been told."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "perhaps")
    measured(capsys, send("accepted"))
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")

    assert measured(capsys) == []


def test_a_sample_rate_in_the_environment_does_not_change_the_level() -> None:
    """Powertools sets the level anew in each invocation for it."""
    program = """
from types import SimpleNamespace
from functions.telemetry import configure, journal, observed

configure("WARNING", "a-stack")
context = SimpleNamespace(aws_request_id="", function_name="", memory_limit_in_mb="", invoked_function_arn="")
for _ in range(2):
    observed(lambda event, context: journal("canceled"))({}, context)
"""

    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={"POWERTOOLS_LOGGER_SAMPLE_RATE": "0.000001"},
        cwd=Path(telemetry.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )

    assert finished.stderr == ""


class Written(io.StringIO):
    """Remembers each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[str]] = []

    def write(self, text: str) -> int:
        self.writes.append([json.loads(line)["message"] for line in text.splitlines()])
        return len(text)


def written_by(work: Callable[[], None]) -> list[list[str]]:
    """The events of each write of an invocation that does this."""
    with redirect_stderr(Written()) as written, redirect_stdout(io.StringIO()):
        configure("INFO", "a-stack")
        try:
            observed(lambda _event, _context: work())({}, Context())
        except NotForLogs:
            journal("over")
    assert isinstance(written, Written)
    return written.writes


def in_turns(*turns: list[str], end: Callable[[], None] = lambda: None) -> Callable[[], None]:
    async def tell() -> None:
        for events in turns:
            for event in events:
                journal(event)
            await asyncio.sleep(0)
        journal("last")
        end()

    def work() -> None:
        runtime = Runtime()
        try:
            runtime.run(tell())
        finally:
            runtime.close()
            asyncio.set_event_loop(None)

    return work


def test_the_lines_of_one_turn_of_the_loop_are_one_write() -> None:
    assert written_by(in_turns(["a", "b", "c"], ["d", "e"])) == [["a", "b", "c"], ["d", "e"], ["last"]]


def test_an_invocation_that_fails_leaves_no_line_behind() -> None:
    assert written_by(in_turns(["a"], end=ask_the_gateway)) == [["a"], ["last"], ["over"]]


def test_lines_are_out_by_the_end_of_an_invocation_without_a_loop_and_at_once_outside_of_one() -> None:
    assert written_by(lambda: journal("a")) == [["a"]]
    assert [line["message"] for line in logged(lambda: journal("b"))] == ["b"]
