"""What happens to a sandbox: it is frozen, runs out of time, does not start, crashes, or gets all the work at once."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.artifact import BUILD
from infra.local.embedded_aws import Resources
from infra.local.emulator import DESCRIPTORS
from infra.local.execution_environment import FunctionError, FunctionTimeout
from infra.local.processes import REPOSITORY
from tests import event_files
from tests.emulated import API, RECEIPTS, SENDER, emulated
from tests.eventually import Eventually
from tests.gateway import Gateway
from tests.harness import fresh_number
from tests.lambda_events import ALL_DONE, body_of

SANDBOXES, FREEZES = 3, 5
FREEZE, IMPATIENT = 1.6, 1
"""Seconds of a freeze, and those after which the gateway closes a connection that nobody uses."""
SESSIONS = REPOSITORY / "tests/integration/drivers/sessions.py"
LIMIT, TOO_SLOW = 6, 7.5
"""Seconds. The first invocation needs some of its time for INIT; the gateway is given 8 by the function."""
BATCH = 1000
MOST_MEMORY = 128 * 1024 * 1024
"""Bytes. The smallest sandbox that there is."""

Environment = dict[str, str]
HEALTH = event_files.read("http_health")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came of invocations with a freeze before each."""

    sent: list[list[Any]]
    started: list[Any]
    messages: list[int]
    """On each phone."""
    posted: list[bool]
    posted_plainly: list[bool]


@pytest.fixture(scope="module")
async def frozen(resources: Resources) -> Frozen:
    async with Gateway.start(resources.accounts, keep_alive=IMPATIENT) as gateway:
        return await freezes(gateway, {**resources.environment(), **gateway.environment()})


async def freezes(gateway: Gateway, environment: Environment) -> Frozen:
    """All at once, for they are long."""
    numbers = [[fresh_number() for _ in range(FREEZES + 1)] for _ in range(SANDBOXES + 1)]
    batches = [[event_files.batch([number.e164]) for number in row] for row in numbers[1:]]
    starts = [event_files.start(number.e164) for number in numbers[0]]
    posts = {"PYTHONPATH": os.pathsep.join(map(str, (BUILD / SENDER, SESSIONS.parent)))}

    async def post(*, plain: bool) -> list[bool]:
        event = {"url": gateway.url, "plain": plain}
        return await between_freezes(SENDER, posts, [event] * (FREEZES + 1), handler=f"{SESSIONS.stem}.handler")

    started, posted, plainly, *sent = await asyncio.gather(
        between_freezes(API, environment, starts),
        post(plain=False),
        post(plain=True),
        *(between_freezes(SENDER, environment, events) for events in batches),
    )
    messages = [len(await gateway.inbox(number)) for row in numbers for number in row]
    return Frozen(sent, started, messages, posted, plainly)


async def between_freezes(
    name: str, environment: Environment, events: list[dict[str, Any]], *, handler: str | None = None
) -> list[Any]:
    async with emulated(name, environment, handler=handler) as function:
        answers = [await function.invoke(events[0])]
        for event in events[1:]:
            function.freeze()
            await asyncio.sleep(FREEZE)  # its length is what is tried
            answers.append(await function.invoke(event))
    return answers


class TestAFreeze:
    def test_costs_the_sender_no_message(self, frozen: Frozen) -> None:
        assert frozen.sent == [[ALL_DONE] * (FREEZES + 1)] * SANDBOXES

    def test_costs_the_api_no_message(self, frozen: Frozen) -> None:
        assert [answer["statusCode"] for answer in frozen.started] == [201] * (FREEZES + 1)

    def test_has_each_message_sent_once(self, frozen: Frozen) -> None:
        assert frozen.messages == [1] * (SANDBOXES + 1) * (FREEZES + 1)

    def test_breaks_no_post_that_comes_before_anything_else(self, frozen: Frozen) -> None:
        """The functions write to the table first, which wakes the loop for the post."""
        assert frozen.posted == [True] * (FREEZES + 1)

    def test_would_break_posts_on_a_plain_session(self, frozen: Frozen) -> None:
        """Else the others would prove nothing."""
        assert not all(frozen.posted_plainly)


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
                with pytest.raises(FunctionTimeout, match=r"timed out after 6\.00 seconds"):
                    await api.invoke(event)

            assert (await api.invoke(HEALTH))["statusCode"] == 200
            assert api.pid != process
            assert len(api.inits()) == 2
            await eventually(lambda: is_idle(gateway))
            assert len(await gateway.inbox(number)) == 1
            again = await api.invoke(event)
            anew = await api.invoke(event_files.start(number.e164))
        assert (again["statusCode"], body_of(again)["code"]) == (409, "conflict")
        assert (anew["statusCode"], body_of(anew)["code"]) == (429, "rate_limited")
        assert len(await gateway.inbox(number)) == 1


class TestAStart:
    @pytest.mark.parametrize("name", [API, SENDER, RECEIPTS])
    async def test_without_its_variables_names_all_that_are_missing(self, environment: Environment, name: str) -> None:
        missing = {"TABLE_NAME", "PROVIDER_SECRETS"}
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


async def is_idle(gateway: Gateway) -> bool:
    return await gateway.open() == 0


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
        await eventually(lambda: is_idle(gateway))
        assert len(await gateway.inbox(number)) == 1


async def test_a_thousand_messages_in_one_event_go_out_at_once_from_the_smallest_sandbox(
    environment: Environment, gateway: Gateway, tmp_path: Path
) -> None:
    # Without the guard: its counting takes a small sandbox longer for so many than a provider keeps a message open.
    services = tmp_path / "services.toml"
    services.write_text("[default.guard]\nenabled = false\n", encoding="utf-8")
    environment = {**environment, "SERVICES_FILE": str(services)}
    event = event_files.batch([fresh_number().e164 for _ in range(BATCH)])
    await gateway.forget()

    # Slow enough that all of them are open at once, which takes the most memory, and the most of the 1,024 files that a
    # sandbox may have open.
    async with emulated(SENDER, environment, limit=60) as sender, gateway.slow(7):
        answer = await sender.invoke(event)
        usage = sender.usage()

    assert answer == ALL_DONE
    assert await gateway.count() == {"messages": BATCH, "numbers": BATCH, "max_per_number": 1}
    assert await gateway.most_open() == BATCH
    assert usage.descriptors < DESCRIPTORS
    assert usage.peak < MOST_MEMORY
