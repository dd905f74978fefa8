"""What happens to a sandbox: it is frozen, runs out of time, does not start, crashes, or gets all the work at once."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from infra.local.emulator import EmulatedEnvironment
from infra.local.execution_environment import FunctionError, FunctionTimeout
from tests import event_files
from tests.artifact.conftest import Eventually
from tests.emulated import API, RECEIPTS, SENDER, emulated
from tests.gateway import Gateway
from tests.harness import fresh_number
from tests.lambda_events import ALL_DONE, body_of

SANDBOXES, FREEZES, FREEZE = 3, 5, 1.6
"""Seconds of a freeze: the gateway closes idle connections after one."""
LIMIT, TOO_SLOW = 4, 6.0
BATCH = 1000
MOST_MEMORY = 128 * 1024 * 1024
"""Bytes. The smallest sandbox that there is."""

Environment = dict[str, str]
HEALTH = event_files.read("http_health")


async def after_freezes(function: EmulatedEnvironment, events: list[dict[str, Any]]) -> list[Any]:
    """The answers, with a freeze before each but the first."""
    answers = [await function.invoke(events[0])]
    for event in events[1:]:
        function.freeze()
        await asyncio.sleep(FREEZE)  # the freeze itself: its length is what is tried
        answers.append(await function.invoke(event))
    return answers


async def test_a_freeze_costs_no_message_and_sends_none_twice(environment: Environment, gateway: Gateway) -> None:
    numbers = [[fresh_number() for _ in range(FREEZES + 1)] for _ in range(SANDBOXES + 1)]

    async def send(row: int) -> list[Any]:
        async with emulated(SENDER, environment) as sender:
            return await after_freezes(sender, [event_files.batch([number.e164]) for number in numbers[row]])

    async def start(row: int) -> list[Any]:
        async with emulated(API, environment) as api:
            return await after_freezes(api, [event_files.start(number.e164) for number in numbers[row]])

    *sent, started = await asyncio.gather(*map(send, range(SANDBOXES)), start(SANDBOXES))

    assert sent == [[ALL_DONE] * (FREEZES + 1)] * SANDBOXES
    assert [answer["statusCode"] for answer in started] == [201] * (FREEZES + 1)
    assert {len(await gateway.inbox(number)) for row in numbers for number in row} == {1}


class TestATimeOut:
    async def test_is_told_and_the_message_is_not_sent_again(
        self, environment: Environment, gateway: Gateway, eventually: Eventually
    ) -> None:
        number = fresh_number()
        event = event_files.start(number.e164, **{"idempotency-key": "signup-1"})
        async with emulated(API, environment, limit=LIMIT) as api:
            await api.invoke(HEALTH)
            process = api.pid

            async with gateway.slow(TOO_SLOW):
                with pytest.raises(FunctionTimeout, match=r"timed out after 4\.00 seconds"):
                    await api.invoke(event)

            assert (await api.invoke(HEALTH))["statusCode"] == 200
            assert api.pid != process
            assert len(api.inits()) == 2
            assert await eventually(lambda: gateway.inbox(number))
            again = await api.invoke(event)
            anew = await api.invoke(event_files.start(number.e164))
        assert (again["statusCode"], body_of(again)["code"]) == (409, "conflict")
        assert (anew["statusCode"], body_of(anew)["code"]) == (429, "rate_limited")
        assert len(await gateway.inbox(number)) == 1


class TestAStart:
    @pytest.mark.parametrize("name", [API, SENDER, RECEIPTS])
    async def test_without_its_variables_names_all_that_are_missing(self, environment: Environment, name: str) -> None:
        missing = {"TABLE_NAME", "YUNPIAN_SECRET"}
        left = {variable: value for variable, value in environment.items() if variable not in missing}

        async with emulated(name, left) as function:
            for _ in range(2):
                with pytest.raises(FunctionError) as caught:
                    await function.invoke(HEALTH)

                assert caught.value.type == "SettingsError"
                assert set(caught.value.message.splitlines()) == {f"{variable} is not set" for variable in missing}

    async def test_with_a_wrong_file_of_services_says_what_is_wrong_until_it_is_right(
        self, environment: Environment, tmp_path: Path
    ) -> None:
        services = tmp_path / "services.toml"
        services.write_text("[default]\ncode_length = 3\ncolour = 'red'\n")

        async with emulated(API, {**environment, "SERVICES_FILE": str(services)}) as api:
            with pytest.raises(FunctionError) as caught:
                await api.invoke(HEALTH)
            services.write_text("[default]\ncode_length = 8\n")
            answer = await api.invoke(HEALTH)

        assert caught.value.type == "SettingsError"
        assert {line.partition(":")[0] for line in caught.value.message.splitlines()} == {
            "default.code_length",
            "default.colour",
        }
        assert answer["statusCode"] == 200

    @pytest.mark.parametrize(
        ("handler", "error"),
        [
            ("functions.handlers.api.no_such_handler", "Runtime.HandlerNotFound"),
            ("functions.handlers.no_such_module.handler", "Runtime.ImportModuleError"),
        ],
    )
    async def test_with_a_handler_that_does_not_exist_says_so(
        self, environment: Environment, handler: str, error: str
    ) -> None:
        async with emulated(API, environment, handler=handler) as function:
            with pytest.raises(FunctionError, match="no_such") as caught:
                await function.invoke(HEALTH)

        assert caught.value.type == error


class TestACrash:
    async def test_in_the_middle_of_a_send_costs_no_second_message(
        self, environment: Environment, gateway: Gateway, eventually: Eventually
    ) -> None:
        number = fresh_number()
        event = event_files.batch([number.e164])
        async with emulated(SENDER, environment) as sender:
            async with gateway.slow(2):
                under_way = asyncio.create_task(sender.invoke(event))
                await eventually(gateway.open)
                process = sender.pid or 0
                os.kill(process, signal.SIGKILL)
                with pytest.raises(FunctionError, match="signal: killed") as caught:
                    await under_way

            assert await sender.invoke(event) == ALL_DONE
            assert sender.pid != process
            assert len(sender.inits()) == 2
        assert caught.value.type == "Runtime.ExitError"
        assert await eventually(lambda: gateway.inbox(number))
        assert await gateway.open() == 0
        assert len(await gateway.inbox(number)) == 1


async def test_a_thousand_messages_in_one_event_fit_the_smallest_sandbox(
    environment: Environment, gateway: Gateway
) -> None:
    event = event_files.batch([fresh_number().e164 for _ in range(BATCH)])
    await gateway.forget()

    # Slow enough that they are all open at once, which takes the most memory.
    async with emulated(SENDER, {**environment, "MAX_IN_FLIGHT": str(BATCH)}, limit=60) as sender, gateway.slow(4):
        answer = await sender.invoke(event)
        peak = sender.usage().peak

    assert answer == ALL_DONE
    assert await gateway.count() == {"messages": BATCH, "numbers": BATCH, "max_per_number": 1}
    assert await gateway.most_open() > BATCH * 0.9
    assert peak < MOST_MEMORY
