from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest
from aiohttp import web

from infra.local.gateway import GatewayProcess
from infra.local.phones import Phones, Received
from infra.local.pushes import is_loopback
from infra.local.vendors.yunpian import segments
from tests.eventually import Eventually

APIKEY = "0" * 32
ACCOUNTS = {"yunpian": {"apikey": APIKEY}}
GERMAN = "+4915112345678"
CHINESE = "13800000000"
TEXT = "【Salvo】123456"


@dataclass(frozen=True, slots=True)
class Sender:
    """A client of the gateway."""

    url: str
    http: aiohttp.ClientSession

    async def send(self, mobile: str = GERMAN, text: str = TEXT, **more: str) -> tuple[int, dict[str, Any]]:
        form = {"apikey": APIKEY, "mobile": mobile, "text": text, **more}
        async with self.http.post(f"{self.url}/yunpian/v2/sms/single_send.json", data=form) as answer:
            return answer.status, await answer.json()

    async def code(self, mobile: str = GERMAN, text: str = TEXT, **more: str) -> int:
        _, body = await self.send(mobile, text, **more)
        return int(body["code"])

    async def get(self, path: str, **query: str) -> Any:
        async with self.http.get(f"{self.url}{path}", params=query) as answer:
            assert answer.status == 200
            return await answer.json()

    async def control(self, **settings: Any) -> int:
        async with self.http.put(f"{self.url}/control", json=settings) as answer:
            return answer.status

    async def reset(self) -> None:
        async with self.http.delete(f"{self.url}/control") as answer:
            assert answer.status == 204

    async def clear(self) -> None:
        async with self.http.delete(f"{self.url}/inbox") as answer:
            assert answer.status == 204

    async def outcomes(self) -> list[str]:
        return [asked["outcome"] for asked in await self.get("/control/requests.json")]


@asynccontextmanager
async def gateway(**options: Any) -> AsyncIterator[Sender]:
    # Without a limit and without reuse: each fault hits one request only.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        GatewayProcess.start(ACCOUNTS, **options) as process,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        yield Sender(process.url, http)


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Sender]:
    async with gateway(receipt_delay=0.05) as started:
        yield started


@pytest.fixture
async def sender(shared: Sender) -> Sender:
    """As if it had just started."""
    await shared.reset()
    await shared.clear()
    return shared


async def test_it_stops_and_leaves_no_process(running: Callable[[int], bool]) -> None:
    async with GatewayProcess.start(ACCOUNTS, latency=60) as process, aiohttp.ClientSession() as http:
        held_open = asyncio.create_task(Sender(process.url, http).send())
        await asyncio.sleep(0.1)
        assert running(process.child.pid)

    assert not running(process.child.pid)
    with pytest.raises(aiohttp.ClientError):
        await held_open


async def test_a_send_is_answered_as_yunpian_does(sender: Sender) -> None:
    status, body = await sender.send(CHINESE)

    sid = body.pop("sid")
    assert status == 200
    assert body == {"code": 0, "msg": "发送成功", "count": 1, "fee": 0.05, "unit": "RMB", "mobile": CHINESE}
    assert 2**53 < sid < 2**63


async def test_every_message_has_its_own_sid(sender: Sender) -> None:
    assert (await sender.send())[1]["sid"] != (await sender.send())[1]["sid"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"apikey": "wrong"}, -1),
        ({"apikey": ""}, -1),
        ({"mobile": ""}, 1),
        ({"text": ""}, 1),
        ({"mobile": " 4915112345678"}, 2),  # what a + becomes that was not encoded
        ({"mobile": "4915112345678"}, 2),
        ({"mobile": "+49 1511 2345678"}, 2),
        ({"mobile": "23800000000"}, 2),
        ({"uid": "x" * 257}, 2),
    ],
)
async def test_what_is_wrong_is_refused_with_its_code(sender: Sender, form: dict[str, str], code: int) -> None:
    status, body = await sender.send(**{"mobile": GERMAN, **form})

    assert (status, body["http_status_code"], body["code"]) == (400, 400, code)
    assert body["msg"]
    assert body["detail"]
    assert await sender.get("/inbox.json") == []


@pytest.mark.parametrize(("length", "count"), [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)])
def test_long_texts_cost_several_messages(length: int, count: int) -> None:
    assert segments("x" * length) == count


async def test_the_account_is_told_to_whoever_has_its_key_and_nothing_is_sent(sender: Sender) -> None:
    async with sender.http.post(f"{sender.url}/yunpian/v2/user/get.json", data={"apikey": APIKEY}) as answer:
        account = await answer.json()

    assert (answer.status, account["balance"], "code" in account) == (200, 1000, False)
    assert await sender.get("/control/requests.json") == []


async def test_the_account_is_refused_to_another_key(sender: Sender) -> None:
    async with sender.http.post(f"{sender.url}/yunpian/v2/user/get.json", data={"apikey": "1" * 32}) as answer:
        refusal = await answer.json()

    assert (answer.status, refusal["code"]) == (400, -1)


async def test_the_price_follows_the_length(sender: Sender) -> None:
    _, body = await sender.send(text="x" * 71)

    assert (body["count"], body["fee"]) == (2, 0.1)


async def test_the_phone_has_the_message(sender: Sender) -> None:
    before = time.time()  # noqa: TID251 (compared with another process's clock)
    await sender.send(GERMAN, "first")
    await sender.send(CHINESE, "second")
    await sender.send(GERMAN, "third")

    first, third = await sender.get("/inbox.json", to=GERMAN)
    assert (first["to"], first["text"], first["provider"]) == (GERMAN, "first", "yunpian")
    assert before <= first["received_at"] <= third["received_at"]
    assert [message["text"] for message in await sender.get("/inbox.json")] == ["first", "second", "third"]


@pytest.mark.parametrize("spelling", [CHINESE, f"+86{CHINESE}", f" 86{CHINESE}"])
async def test_a_chinese_phone_has_one_inbox_however_it_is_spelled(sender: Sender, spelling: str) -> None:
    await sender.send(CHINESE)
    await sender.send(f"+86{CHINESE}")

    assert [message["to"] for message in await sender.get("/inbox.json", to=spelling)] == [f"+86{CHINESE}"] * 2


async def test_the_inboxes_are_counted_and_cleared(sender: Sender) -> None:
    for number in (GERMAN, GERMAN, CHINESE):
        await sender.send(number)
    assert await sender.get("/inbox/count.json") == {"messages": 3, "numbers": 2, "max_per_number": 2}

    await sender.clear()

    assert await sender.get("/inbox/count.json") == {"messages": 0, "numbers": 0, "max_per_number": 0}
    assert await sender.get("/inbox.json", to=GERMAN) == []
    assert await sender.outcomes() == []


def test_the_oldest_messages_are_forgotten() -> None:
    phones = Phones(most_kept=2)
    for number in ("+1", "+2", "+2"):
        phones.deliver(Received(number, "text", "yunpian", 0.0))

    assert phones.count() == {"messages": 2, "numbers": 1, "max_per_number": 2}
    assert list(phones.inbox("+1")) == []


async def test_what_was_asked_is_remembered_without_the_key(sender: Sender) -> None:
    await sender.send(GERMAN, uid="ref-1")
    await sender.send("bad", uid="ref-2")

    first, second = asked = await sender.get("/control/requests.json")
    assert (first["to"], first["reference"], first["outcome"], first["code"]) == (GERMAN, "ref-1", "accepted", None)
    assert (second["to"], second["reference"], second["outcome"], second["code"]) == ("", None, "refused", 2)
    assert (first["provider"], first["request"] + 1) == ("yunpian", second["request"])
    assert APIKEY not in json.dumps(asked)


async def test_the_script_decides_request_by_request(sender: Sender) -> None:
    await sender.control(script=[{"answer": "refuse", "code": 22}, {"answer": "accept"}, {"answer": "refuse"}])

    assert [await sender.code() for _ in range(4)] == [22, 0, -50, 0]


async def test_a_dropped_request_is_reset_and_not_delivered(sender: Sender) -> None:
    await sender.control(script=[{"answer": "drop"}])

    with pytest.raises(aiohttp.ClientOSError):
        await sender.send()

    assert await sender.outcomes() == ["dropped"]
    assert await sender.get("/inbox.json") == []


async def test_a_request_dropped_after_it_was_accepted_is_delivered(sender: Sender) -> None:
    await sender.control(script=[{"answer": "drop_after_accept"}])

    with pytest.raises(aiohttp.ClientOSError):
        await sender.send()

    assert await sender.outcomes() == ["dropped_after_accept"]
    assert len(await sender.get("/inbox.json")) == 1


async def test_rubbish_and_foreign_statuses_are_no_json(sender: Sender) -> None:
    await sender.control(script=[{"answer": "rubbish"}, {"answer": "status", "status": 502}])
    url, form = f"{sender.url}/yunpian/v2/sms/single_send.json", {"apikey": APIKEY, "mobile": GERMAN, "text": TEXT}

    for status in (200, 502):
        async with sender.http.post(url, data=form) as answer:
            assert answer.status == status
            with pytest.raises(ValueError, match=r"decode|Expecting"):
                json.loads(await answer.read())

    assert await sender.outcomes() == ["rubbish", "status"]
    assert await sender.get("/inbox.json") == []


async def test_a_client_that_does_not_wait_gets_its_message_all_the_same(
    sender: Sender, eventually: Eventually
) -> None:
    await sender.control(script=[{"answer": "accept", "latency": 0.3}])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await sender.send()

    async def delivered() -> Any:
        return await sender.get("/inbox.json", to=GERMAN)

    assert await eventually(delivered)


async def test_what_is_set_for_one_vendor_goes_before_what_is_set_for_all(sender: Sender) -> None:
    await sender.control(latency=0.25, caps={"interval": 30, "hourly": 3})
    await sender.control(provider="yunpian", latency=0, caps=None)

    told = await sender.get("/control")
    assert told["latency"] == 0.25
    assert told["providers"] == {"yunpian": {"latency": 0.0, "caps": None, "script": []}}
    assert [await sender.code() for _ in range(2)] == [0, 0]


async def test_a_vendor_is_down_until_it_is_back(sender: Sender) -> None:
    await sender.control(provider="yunpian", always={"answer": "refuse"}, script=[{"answer": "accept"}])
    assert [await sender.code() for _ in range(3)] == [-50] * 3

    await sender.control(provider="yunpian", always=None)

    assert await sender.code() == 0
    assert await sender.get("/control/requests.json", provider="twilio") == []
    assert len(await sender.get("/control/requests.json", provider="yunpian")) == 4


async def test_everything_is_taken_back_at_once(sender: Sender) -> None:
    before = await sender.get("/control")
    await sender.control(latency=1, fail=1, always={"answer": "drop"}, script=[{"answer": "drop"}], receipts=[])
    await sender.control(provider="yunpian", latency=2, script=[{"answer": "drop"}])

    await sender.reset()

    kept = {name: value for name, value in (await sender.get("/control")).items() if name != "most_open"}
    assert kept == {name: before[name] for name in kept}
    assert await sender.code() == 0


async def test_the_address_in_the_console_stays_when_everything_is_taken_back() -> None:
    async with gateway() as sender:
        await sender.control(provider="yunpian", receipts_url="http://127.0.0.1:1/", latency=2)

        await sender.reset()

        told = (await sender.get("/control"))["providers"]
        assert told == {"yunpian": {"receipts_url": "http://127.0.0.1:1/", "script": []}}


async def test_an_answer_may_say_how_long_to_wait(sender: Sender) -> None:
    await sender.control(script=[{"answer": "refuse", "code": -5, "retry_after": 7}])
    url, form = f"{sender.url}/yunpian/v2/sms/single_send.json", {"apikey": APIKEY, "mobile": GERMAN, "text": TEXT}

    async with sender.http.post(url, data=form) as answer:
        assert (answer.status, (await answer.json())["code"], answer.headers["Retry-After"]) == (400, -5, "7")


@pytest.mark.parametrize(
    "settings",
    [
        {"fail": 2},
        {"latency": -1},
        {"script": [{"answer": "explode"}]},
        {"script": [{"answer": "drop", "colour": 1}]},
        {"failures": 1},
        {"provider": "pigeon", "latency": 1},
        {"receipts": ["read"]},
    ],
)
async def test_controls_that_make_no_sense_are_refused(sender: Sender, settings: dict[str, Any]) -> None:
    assert await sender.control(**settings) == 400


async def test_a_share_of_requests_fails_and_the_same_ones_for_the_same_seed() -> None:
    async def outcomes(seed: int) -> list[str]:
        async with gateway(fail=0.4, seed=seed) as sender:
            for n in range(60):
                with suppress(aiohttp.ClientOSError):
                    await sender.send(uid=str(n))
            return await sender.outcomes()

    once, again, otherwise = await asyncio.gather(outcomes(1), outcomes(1), outcomes(2))

    counted = Counter(once)
    assert once == again != otherwise
    assert counted["accepted"] > counted["refused"] > 3
    assert counted["dropped"] > 3


async def test_each_request_takes_the_latency_however_many_there_are() -> None:
    async with gateway(latency=0.5) as sender:
        started = time.monotonic()
        codes = await asyncio.gather(*(sender.code(f"+49151{n:08d}") for n in range(300)))
        took = time.monotonic() - started

        assert set(codes) == {0}
        assert 0.5 <= took < 5
        assert (await sender.get("/control"))["most_open"] > 100


async def test_the_caps_for_a_number_are_off_until_they_are_wanted(sender: Sender) -> None:
    assert [await sender.code() for _ in range(5)] == [0] * 5

    await sender.control(caps={"interval": 30, "hourly": 3})
    assert await sender.code() == 33
    await sender.control(caps={"interval": 0, "hourly": 3})
    assert await sender.code() == 22
    assert await sender.code(CHINESE) == 0
    await sender.control(caps=None)
    assert await sender.code() == 0


async def test_an_idle_connection_is_closed_after_the_keep_alive() -> None:
    async with GatewayProcess.start(ACCOUNTS, keep_alive=1) as process:
        host, port = process.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /control HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(5):
            await reader.read()  # to the end, which comes from the other side
        writer.close()
        await writer.wait_closed()


@dataclass(slots=True)
class Receiver:
    """Where reports go; understands the first push only when it is told again."""

    url: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response(text="SUCCESS" if len(self.forms) > 1 else "what?")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    received = Receiver()
    app = web.Application()
    app.router.add_post("/receipts", received.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    received.url = f"http://127.0.0.1:{runner.addresses[0][1]}/receipts"
    yield received
    await runner.cleanup()


async def test_the_status_is_pushed_until_it_is_acknowledged(
    sender: Sender, receiver: Receiver, eventually: Eventually
) -> None:
    _, sent = await sender.send(CHINESE, uid="ref-1", callback_url=receiver.url)

    async def told_twice() -> bool:
        return len(receiver.forms) == 2

    await eventually(told_twice)
    (report,) = json.loads(unquote(receiver.forms[1]["sms_status"]))
    assert receiver.forms[0] == receiver.forms[1]
    assert receiver.forms[0]["sms_status"].startswith("%5B")
    received_at = report.pop("user_receive_time")
    assert time.strptime(received_at, "%Y-%m-%d %H:%M:%S")
    assert report == {
        "sid": sent["sid"],
        "uid": "ref-1",
        "error_msg": "DELIVRD",
        "mobile": CHINESE,
        "report_status": "SUCCESS",
    }


async def test_reports_for_one_address_go_together(sender: Sender, receiver: Receiver, eventually: Eventually) -> None:
    await asyncio.gather(*(sender.send(uid=str(n), callback_url=receiver.url) for n in range(20)))

    async def all_told() -> bool:
        told = [entry["uid"] for form in receiver.forms for entry in json.loads(unquote(form["sms_status"]))]
        return set(told) == {str(n) for n in range(20)}

    await eventually(all_told)
    assert len(receiver.forms) < 20


async def test_an_https_address_on_this_machine_is_reached_without_a_certificate(
    sender: Sender, receiver: Receiver, eventually: Eventually
) -> None:
    await sender.send(uid="ref-1", callback_url=receiver.url.replace("http://", "https://"))

    async def told() -> bool:
        return bool(receiver.forms)

    await eventually(told)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8080/v1/receipts", True),
        ("http://[::1]/", True),
        ("http://localhost:1/", True),
        ("https://sms.example.com/", False),
        ("http://10.0.0.1/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_reports_stay_on_this_machine(url: str, *, loopback: bool) -> None:
    assert is_loopback(url) is loopback
