"""./salvo send, from outside, against an API that fails, hangs, forgets to answer and sees the command killed."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import os
import pty
import random  # noqa: TID251 - seeded moments, not secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.environments import ROOT
from infra.send import ledger
from infra.send.ledger import State
from infra.send.results import result_path
from tests.batch_api import BatchApi
from tests.eventually import Eventually

SERVICES = """
[default]
[other]
[spending]
prices = { "*" = 0.05 }
"""
_LONG = 60.0


@dataclass
class Told:
    code: int | None
    out: str
    said: str


@dataclass
class Sender:
    """The command on a file, with the API that it talks to."""

    api: BatchApi
    path: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def numbers(self) -> list[str]:
        return [f"+49151{n * 61_803_399 % 100_000_000:08d}" for n in range(1_000)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}"

    def write(self, count: int, *more: str) -> None:
        rows = [f"{number},{place % 7}" for place, number in enumerate(self.numbers[:count])]
        self.path.write_text("\n".join(["to,metadata.place", *rows, *more]) + "\n")

    def kill(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    async def start(self, *options: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        services = self.path.with_name("services.toml")
        services.write_text(SERVICES)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.command", "send", str(self.path), "--services", str(services)),
            *("--local", "--port", str(self.api.port), *options),
            cwd=ROOT,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self.process

    async def answer(self, typed: str) -> Told:
        """At a terminal."""
        terminal, its_end = pty.openpty()
        try:
            os.write(terminal, typed.encode())
            await self.start(stdin=its_end)
            return await self.end()
        finally:
            os.close(terminal)
            os.close(its_end)

    async def end(self) -> Told:
        assert self.process is not None
        async with asyncio.timeout(_LONG):
            out, said = await self.process.communicate()
        return Told(self.process.returncode, out.decode(), said.decode())

    async def send(self, *options: str) -> Told:
        await self.start("--yes", *options)
        return await self.end()

    def results(self) -> list[dict[str, str]]:
        with result_path(self.path).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[Sender]:
    async with BatchApi().running() as api:
        found = Sender(api, tmp_path / "phones.csv")
        yield found
        if found.process is not None and found.process.returncode is None:
            found.kill()
            await found.end()


def each_once(sender: Sender, count: int) -> bool:
    return sender.api.sms == Counter(sender.numbers[:count])


async def test_each_line_is_sent_once_and_has_its_result(sender: Sender) -> None:
    sender.write(20, "+49151,9", f"{sender.numbers[3]},9")
    refused, failed, renamed = sender.numbers[0], sender.numbers[1], sender.numbers[2]
    sender.api.refused, sender.api.failed = frozenset({refused}), frozenset({failed})
    sender.api.renamed = frozenset({renamed})

    told = await sender.send("--skip-bad")

    assert (told.code, told.out.splitlines()[-1]) == (
        0,
        f"18 sent, 1 refused, 1 failed, 2 invalid: {result_path(sender.path)}",
    )
    rows = sender.results()
    assert [int(row["line"]) for row in rows] == list(range(2, 24))
    assert [row["to"] for row in rows] == [*sender.numbers[:20], "+49151", sender.numbers[3]]
    assert [(row["status"], row["code"]) for row in rows] == [
        ("refused", "number_type_blocked"),
        ("failed", "too_late"),
        *[("sent", "")] * 18,
        ("invalid", "invalid_number"),
        ("invalid", "duplicate"),
    ]
    assert rows[0]["id"] == ""
    assert rows[2]["id"] == "vfy_other"
    assert all(row["id"].startswith("vfy_bat_cmp_") for row in (rows[1], *rows[3:20]))
    assert sender.api.bodies[0]["service"] == "default"
    assert sender.api.bodies[0]["items"][6] == {"to": sender.numbers[6], "metadata": {"place": "6"}}


async def test_bad_lines_stop_everything_unless_they_are_to_be_skipped(sender: Sender) -> None:
    sender.write(2, "+49151,9")

    told = await sender.send()

    assert told.code == 1
    assert told.out.startswith("line 4: a number is + and 7 to 15 digits")
    assert told.said == (
        "salvo: 1 of 3 lines are bad, and nothing was sent: mend them, or send to the others with --skip-bad\n"
    )
    assert not sender.api.asked


async def test_results_of_another_campaign_are_not_written_over(sender: Sender) -> None:
    sender.write(2)
    result_path(sender.path).write_text("somebody's")

    told = await sender.send()

    assert told.code == 1
    assert told.said.endswith("phones.result.csv is there already, of another campaign: move it away first\n")
    assert result_path(sender.path).read_text() == "somebody's"


async def test_nothing_is_sent_without_a_yes(sender: Sender) -> None:
    sender.write(2)

    await sender.start()
    told = await sender.end()

    assert told.code == 1
    assert "nobody is here to be asked, so nothing was sent: --yes sends 2 messages" in told.said
    assert "0.10 USD" in told.out
    assert not sender.api.asked


async def test_who_is_asked_says_yes_or_nothing_is_sent(sender: Sender) -> None:
    sender.write(2)

    no = await sender.answer("\n")
    assert (no.code, no.said.splitlines()[-1]) == (
        1,
        "Send 2 messages by " + sender.url + "? [y/N] salvo: nothing was sent",
    )
    assert not sender.api.sms

    assert (await sender.answer("y\n")).code == 0
    assert each_once(sender, 2)


async def test_no_whole_number_is_told(sender: Sender) -> None:
    sender.write(3, "+4915112345678x,9", f"{sender.numbers[0]},9")

    told = await sender.send("--skip-bad")

    for number in (*sender.numbers[:3], "+4915112345678x"):
        assert number[1:] not in told.out + told.said


async def test_services_of_their_own_go_by_the_same_batch(sender: Sender) -> None:
    first, second = sender.numbers[:2]
    sender.path.write_text(f"to,service\n{first},other\n{second},\n{first},\n")

    assert (await sender.send()).code == 0

    (body,) = sender.api.bodies
    assert body == {
        "service": "other",
        "items": [{"to": first}, {"service": "default", "to": second}, {"service": "default", "to": first}],
    }


async def test_what_goes_wrong_for_now_is_tried_again_and_sent_once(sender: Sender) -> None:
    sender.write(400)
    faults = iter(["busy", "broken", "lost", "broken", "", "lost", "busy"])
    sender.api.fault = lambda method: next(faults, "") if method == "POST" else ""

    told = await sender.send("--rate", "200")

    assert told.code == 0, told.said
    assert each_once(sender, 400)
    assert len(sender.results()) == 400


async def test_killed_at_ten_random_moments_everybody_gets_one(sender: Sender) -> None:
    count, kills, chance = 300, 10, random.Random(20261126)  # noqa: S311
    sender.write(count, "+49151,9")
    sender.api.at_once, sender.api.kill = 20, sender.kill
    killed = 0

    def fault(_method: str) -> str:
        nonlocal killed
        if killed < kills and chance.random() < 0.4:
            killed += 1
            return chance.choice(["killed before", "killed after"])
        return "lost" if chance.random() < 0.1 else ""

    sender.api.fault = fault
    codes = [(await sender.send("--skip-bad", "--rate", "50")).code]
    while codes[-1] == -signal.SIGKILL:
        codes.append((await sender.send("--rate", "50")).code)

    assert codes == [-signal.SIGKILL] * kills + [0]
    assert each_once(sender, count)
    assert sorted(int(row["line"]) for row in sender.results()) == list(range(2, count + 3))
    assert Counter(row["status"] for row in sender.results()) == {"sent": count, "invalid": 1}


async def test_killed_between_results_and_ledger_the_results_are_written_once(sender: Sender) -> None:
    sender.write(50)
    await sender.send()
    with ledger.opened(sender.path) as book:  # as if the last step had not come to the disk
        book.database.execute("UPDATE chunks SET state = 'posted', results_end = NULL, answer = '[]'")
        book.database.execute("UPDATE campaign SET finished = 0")
        book.database.commit()
    with result_path(sender.path).open("a") as file:
        file.write("half a li")

    told = await sender.send()

    assert (told.code, each_once(sender, 50)) == (0, True)
    assert all(row["status"] for row in sender.results())


async def test_a_campaign_that_is_over_is_sent_again_only_when_that_is_said(sender: Sender) -> None:
    sender.write(5)
    await sender.send()

    told = await sender.send()
    assert (told.code, each_once(sender, 5)) == (0, True)
    assert (
        told.said
        == f"salvo: this file is sent: {result_path(sender.path)} has the results. --again sends it once more\n"
    )

    assert (await sender.send("--again")).code == 0
    assert set(sender.api.sms.values()) == {2}
    assert len(list(sender.path.parent.glob("phones.result.cmp_*.csv"))) == 1


@pytest.fixture
async def interrupted(sender: Sender) -> Sender:
    """A campaign whose first batch was taken, and whose answer nobody read."""
    sender.write(300)
    sender.api.fault, sender.api.kill = lambda method: "killed after" if method == "POST" else "", sender.kill
    assert (await sender.send("--rate", "100")).code == -signal.SIGKILL
    sender.api.fault = lambda _method: ""
    return sender


async def test_a_file_that_has_changed_since_is_refused(interrupted: Sender) -> None:
    interrupted.write(299)

    told = await interrupted.send()

    assert told.code == 1
    assert "phones.csv has changed since campaign cmp_" in told.said


async def test_a_file_that_changes_while_it_is_sent_is_not_sent_on(sender: Sender) -> None:
    sender.write(300)

    def fault(method: str) -> str:
        if method == "POST" and sender.api.asked["POST"] == 2:
            sender.write(299)
        return ""

    sender.api.fault = fault
    told = await sender.send("--rate", "100")

    assert told.code == 1
    assert "was changed while it is being sent" in told.said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--again",), "is not over: leave --again out, and it goes on"),
        (("--service", "other"), "began with --service default"),
        (("--port", "1"), "began by http://127.0.0.1:"),
    ],
)
async def test_a_campaign_goes_on_as_it_began(interrupted: Sender, options: tuple[str, ...], said: str) -> None:
    told = await interrupted.send(*options)

    assert told.code == 1
    assert said in told.said


async def test_another_key_does_not_post_what_may_have_been_taken(interrupted: Sender) -> None:
    with ledger.opened(interrupted.path) as book:
        book.database.execute("UPDATE chunks SET sent_by = 'another'")
        book.database.commit()

    told = await interrupted.send()
    assert told.code == 1
    assert "lines 2 to 101 were handed over with the key another, and nobody knows whether they were taken" in told.said

    assert (await interrupted.send("--same-caller")).code == 0
    assert each_once(interrupted, 300)


async def test_what_may_have_been_taken_long_ago_is_not_posted_again(interrupted: Sender) -> None:
    with ledger.opened(interrupted.path) as book:
        book.database.execute("UPDATE chunks SET posted_at = posted_at - 50000")
        book.database.commit()

    assert (await interrupted.send()).code == 0

    assert each_once(interrupted, 300)
    assert Counter(row["code"] for row in interrupted.results()) == {"unknown": 100, "": 200}


async def test_two_at_once_on_one_file_are_one(sender: Sender) -> None:
    sender.write(5)
    with ledger.opened(sender.path):
        told = await sender.send()

    assert (told.code, told.said) == (
        1,
        f"salvo: {sender.path} is being sent by another process: wait for its end, or stop it with Ctrl-C\n",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_stops_and_the_same_command_goes_on(
    sender: Sender, eventually: Eventually, number: signal.Signals
) -> None:
    sender.write(300)
    sender.api.at_once = 0
    process = await sender.start("--yes", "--rate", "100")

    async def is_under_way() -> bool:
        return sender.api.asked["GET"] > 3

    await eventually(is_under_way, within=_LONG)
    process.send_signal(number)
    told = await sender.end()

    assert told.code == 128 + number
    assert "are done. The same command goes on" in told.said
    sender.api.at_once = 500
    assert (await sender.send()).code == 0
    assert each_once(sender, 300)


async def test_an_api_that_is_not_there_is_told_before_anything_is_asked(sender: Sender) -> None:
    sender.write(5)

    told = await sender.send("--port", "1")

    assert told.code == 1
    assert told.said == "salvo: http://127.0.0.1:1 does not answer (ClientConnectorError): nothing was sent\n"


async def test_a_batch_that_the_api_refuses_ends_it_in_a_sentence(interrupted: Sender) -> None:
    for batch in interrupted.api._batches.values():
        batch.body = b"{}"

    told = await interrupted.send()

    assert told.code == 1
    assert told.said.splitlines()[-1] == "salvo: the API refuses it: another request (idempotency_mismatch)"


async def test_a_batch_that_nobody_remembers_is_unknown_and_not_sent_again(sender: Sender) -> None:
    sender.write(20)
    await sender.send()
    with ledger.opened(sender.path) as book:
        book.database.execute(
            "UPDATE chunks SET state = ?, batch = 'bat_gone', posted_at = 1, results_end = NULL", (State.POSTED,)
        )
        book.database.execute("UPDATE campaign SET finished = 0")
        book.database.commit()

    assert (await sender.send()).code == 0

    assert each_once(sender, 20)
    assert {(row["status"], row["code"]) for row in sender.results()} == {("failed", "unknown")}
