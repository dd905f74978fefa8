"""How the functions come by their providers: whose receipts come, and what is said of credentials at the start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from functions.handlers.providers import LOOKING, Readiness, heard_of
from functions.service_file import parse_configuration
from functions.settings import Common
from functions.usecases.ports import KeysUnavailable
from tests.harness import RecordingJournal, RecordingProvider
from tests.virtual_time import run_in_virtual_time


def common(receipts_url: str | None = None, providers: Any = None, *names: str) -> Common:
    routes = [{"providers": [{"name": name} for name in names]}]
    return Common(
        stack="salvo",
        log_level="INFO",
        table="records",
        provider_secrets="salvo-provider-",
        providers_url=None,
        receipts_url=receipts_url,
        configuration_set=None,
        configuration=parse_configuration({"default": {"routes": routes}, "providers": providers or {}}),
    )


class TestWhoseReceiptsComeToUs:
    def test_are_those_who_are_told_an_address(self) -> None:
        names = ("yunpian", "webhook", "sns", "yunpian_multi")

        assert heard_of(common("https://sms.example.com", None, *names)) >= {"yunpian", "webhook"}
        assert "sns" not in heard_of(common("https://sms.example.com", None, *names))
        assert heard_of(common(None, None, *names)) == set()

    def test_is_aws_where_its_events_do(self) -> None:
        by_event = {"aws_sms": {"configuration_set": "codes"}}

        assert heard_of(common(None, by_event, "aws_sms", "yunpian")) == {"aws_sms"}
        assert heard_of(common("https://sms.example.com", None, "aws_sms", "yunpian")) == {"yunpian"}


class TestWhatIsWrongWithCredentials:
    async def test_is_said_once_with_the_providers_name(self) -> None:
        broken = RecordingProvider(name="twilio", problem=KeysUnavailable("twilio: its secret makes no sense"))
        journal = RecordingJournal()
        ready = Readiness([RecordingProvider(name="vonage"), broken], journal)

        await ready()
        await ready()

        assert journal.lines == [
            {
                "event": "provider",
                "provider": "twilio",
                "outcome": "unusable",
                "reason": "twilio: its secret makes no sense",
            }
        ]

    def test_holds_nobody_up_for_longer_than_a_second(self) -> None:
        class Silent(RecordingProvider):
            async def prepare(self) -> None:
                await asyncio.get_running_loop().create_future()

        async def scenario() -> float:
            journal = RecordingJournal()
            await Readiness([Silent(name="a"), Silent(name="b")], journal)()
            assert journal.lines == []
            return asyncio.get_running_loop().time()

        assert run_in_virtual_time(scenario()) == pytest.approx(LOOKING)
