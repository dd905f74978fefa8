"""Logs: one JSON object a line, and nothing of what a library says in confidence (API-5)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import pytest

from functions.telemetry import configure_logging, journal

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
        configure_logging(level)
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


def crash_twice() -> None:
    try:
        ask_the_gateway()
    except NotForLogs as error:
        another = RuntimeError("+4915112345678")
        another.__cause__ = error
        ours.error("crashed", exc_info=another)


def test_an_event_is_a_line_with_its_level_its_time_and_its_facts() -> None:
    (line,) = logged(lambda: journal("send", provider="gateway", milliseconds=12, price=0.5))

    assert isinstance(line.pop("at"), float)
    assert line == {"level": "INFO", "event": "send", "provider": "gateway", "milliseconds": 12, "price": 0.5}


def test_facts_that_are_none_are_left_out() -> None:
    (line,) = logged(lambda: journal("send", provider="gateway", reason=None, price=None))

    assert line.keys() == {"level", "at", "event", "provider"}


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

    assert (line["event"], line["level"]) == ("one of 2", "WARNING")


@pytest.mark.parametrize("failure", [crash, crash_twice])
def test_an_exceptions_text_is_not_logged(failure: Callable[[], None]) -> None:
    shown = json.dumps(logged(failure))

    assert "crashed" in shown
    assert "+49151" not in shown
    assert "123456" not in shown


def test_an_exceptions_class_and_trace_are_logged() -> None:
    (line,) = logged(crash)

    assert (line["event"], line["level"], line["error"]) == ("crashed", "ERROR", "NotForLogs")
    outer, inner = line["trace"]
    assert outer.endswith(" crash")
    assert inner.startswith(f"{__file__}:")
    assert inner.endswith(" ask_the_gateway")


def test_an_exception_that_was_never_raised_has_no_trace() -> None:
    (line,) = logged(lambda: ours.error("crashed", exc_info=NotForLogs("+4915112345678")))

    assert (line["error"], line["trace"]) == ("NotForLogs", [])


def test_without_an_exception_there_is_no_error() -> None:
    (line,) = logged(lambda: ours.log(logging.ERROR, "crashed", exc_info=True))

    assert line.keys() == {"level", "at", "event"}


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
    configure_logging("DEBUG")

    assert len(logged(lambda: journal("send"))) == 1


def test_standard_output_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(lambda: journal("send"))

    assert capsys.readouterr().out == ""
