"""./salvo cost: the bill of an example done by hand, and what must hold for every load."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.telemetry import METRICS
from infra import usage
from infra.bill import bill, of_a_million_starts, total
from infra.command import main
from infra.environments import ROOT
from infra.load import Load
from infra.local.execution_environment import ExecutionEnvironment
from infra.local.system import Base, start_base
from infra.prices import PRICES, UnknownPrice, with_own
from infra.template import functions, read
from tests.harness import fresh_number
from tests.lambda_events import body_of, http_event

CENT = 0.01
PLAIN = Load(verifications=1_000_000, resends=0.0, checks=1.0, receipts=False, guard=False, cold_starts=0.0)
MONITORING = ROOT / "infra" / "monitoring.yaml"
OPERATIONS = ROOT / "docs" / "operations.md"

SHARES = st.floats(0.0, 1.0)


@st.composite
def loads(draw: st.DrawFn) -> Load:
    queued = draw(SHARES)
    return Load(
        verifications=draw(st.integers(1, 10**9)),
        queued=queued,
        batched=(batched := draw(st.floats(0.0, 1.0 - queued))),
        bulk=draw(st.floats(0.0, max(1.0 - queued - batched, 0.0))),
        batch_size=draw(st.integers(1, 10)),
        returning=draw(SHARES),
        idempotent=draw(SHARES),
        resends=draw(st.floats(0.0, 5.0)),
        checks=draw(st.floats(0.0, 5.0)),
        receipts=draw(st.booleans()),
        providers=draw(st.integers(1, 15)),
        rated=draw(SHARES),
        learning=draw(SHARES),
        confirmed=draw(SHARES),
        guard=draw(st.booleans()),
        gateway_latency=draw(st.floats(0.0, 8.0)),
        memory=draw(st.integers(128, 10240)),
        cold_starts=draw(SHARES),
        log_retention=draw(st.integers(1, 3653)),
        kms=draw(st.booleans()),
        tracing=draw(st.booleans()),
        snap_start=draw(st.booleans()),
    )


def test_a_million_starts_and_checks_over_http_come_to_what_they_come_to_by_hand() -> None:
    lines = {line.name: line for line in bill(PLAIN, sms_price=0.05).by_use}

    assert lines["HTTP API"].usd == pytest.approx(2.00)  # two million requests at a dollar
    assert lines["Lambda, invocations"].usd == pytest.approx(0.40)
    # A million times 0.3 s with half a gigabyte: 150,000 GB-seconds.
    assert lines["Lambda, waiting for the gateway"].quantity == pytest.approx(150_000)
    assert lines["Lambda, waiting for the gateway"].usd == pytest.approx(2.50, abs=CENT)
    # 3 ms and 2 ms at 512/1769 of a processor, and 5 ms to DynamoDB twice: 27 ms, half a gigabyte.
    assert lines["Lambda, working"].quantity == pytest.approx(13_638, abs=1)
    assert lines["DynamoDB, writes"].usd == pytest.approx(1.25)
    assert "DynamoDB, reads" not in lines
    assert "SQS" not in lines


def test_a_batch_of_ten_waits_once_and_is_one_invocation() -> None:
    lines = {line.name: line for line in bill(replace(PLAIN, batched=1.0, checks=0.0), sms_price=0.05).by_use}

    assert lines["Lambda, invocations"].quantity == pytest.approx(100_000)
    assert lines["Lambda, waiting for the gateway"].quantity == pytest.approx(15_000)
    assert lines["SQS"].quantity == pytest.approx(300_000)
    assert lines["DynamoDB, writes"].quantity == pytest.approx(1_000_000)


def test_a_thousand_in_a_request_are_ten_invocations_and_go_to_sqs_by_tens() -> None:
    lines = {line.name: line for line in bill(replace(PLAIN, bulk=1.0, checks=0.0), sms_price=0.05).by_use}

    assert lines["HTTP API"].quantity == pytest.approx(1_000)
    assert lines["Lambda, invocations"].quantity == pytest.approx(11_000)
    assert lines["Lambda, waiting for the gateway"].quantity == pytest.approx(1_500)
    assert lines["SQS"].quantity == pytest.approx(300_000)
    # A code is one; a batch two when it begins, and two each time that a hundred are told of.
    assert lines["DynamoDB, writes"].quantity == pytest.approx(1_000_000 + 2_000 + 20_000)


def test_what_costs_more_write_units_is_counted_as_the_architecture_says() -> None:
    started = replace(PLAIN, verifications=100, checks=0.0)

    assert usage.write_units(started) == 100
    assert usage.write_units(replace(started, returning=1.0)) == 200
    assert usage.write_units(replace(started, queued=1.0)) == 200
    assert usage.write_units(replace(started, idempotent=1.0)) == 300
    assert usage.write_units(replace(started, batched=1.0)) == 100
    assert usage.write_units(replace(started, batched=1.0, returning=1.0)) == 300
    assert usage.write_units(replace(started, resends=1.0)) == 300
    assert usage.write_units(replace(started, checks=1.0, receipts=True)) == 300
    assert usage.write_units(replace(started, guard=True)) == 400
    assert usage.write_units(replace(started, guard=True, resends=1.0)) == 900
    assert usage.write_units(replace(started, guard=True, checks=1.0)) == 700


def test_a_second_provider_costs_its_secret_its_metrics_and_half_a_read_unit_a_send() -> None:
    one, two = bill(PLAIN, sms_price=0.0), bill(replace(PLAIN, providers=2), sms_price=0.0)

    more = {line.name: line.quantity for line in (*two.by_use, *two.by_month)}
    for line in (*one.by_use, *one.by_month):
        more[line.name] -= line.quantity
    assert more["DynamoDB, reads"] == pytest.approx(500_000)
    assert more["DynamoDB, writes"] == 0
    assert more["Secrets"] == 1
    assert more["Metrics"] == usage.PROVIDER_METRICS + 3 * usage.FAILOVER_METRICS


def test_a_rate_is_a_write_unit_a_message() -> None:
    rated = replace(PLAIN, rated=1.0)

    assert usage.write_units(rated) - usage.write_units(PLAIN) == 1_000_000


def test_a_provider_that_learns_is_a_write_unit_a_message_and_a_queued_one_for_each_approval() -> None:
    learning = replace(PLAIN, learning=1.0)

    assert usage.write_units(learning) - usage.write_units(PLAIN) == 1_000_000
    assert usage.queue_requests(learning) == 3_000_000
    assert usage.sender_invocations(learning) == 1_000_000


def test_to_wait_for_receipts_is_a_queued_message_and_a_read_for_each_and_a_twentieth_of_them_once_more() -> None:
    confirmed = replace(PLAIN, confirmed=1.0, receipts=True)
    without = replace(PLAIN, receipts=True)

    assert confirmed.messages == pytest.approx(1_050_000)
    assert usage.queue_requests(confirmed) == 3_000_000
    assert usage.read_units(confirmed) - usage.read_units(without) == pytest.approx(1_000_000 + 50_000)
    # One for each receipt that is learned from, one for each claim; and the receipts of what was sent again.
    assert usage.write_units(confirmed) - usage.write_units(without) == pytest.approx(1_050_000 + 50_000 + 50_000)


def test_the_sms_is_told_apart_from_what_aws_gets() -> None:
    found = bill(replace(PLAIN, resends=0.1), sms_price=0.05)

    assert found.sms.usd == pytest.approx(55_000)
    assert found.aws == pytest.approx(total(found.by_use) + total(found.by_month))
    assert found.aws < found.sms.usd / 1000


def test_a_stack_that_nobody_uses_costs_what_stands() -> None:
    standing = {line.name: line.usd for line in bill(Load(), sms_price=0.0).by_month}

    assert standing["Secrets"] == pytest.approx(1.20)
    assert standing["Metrics"] == pytest.approx(9.00)
    assert standing["Dashboard"] == pytest.approx(3.00)
    # Five pollers at each of two queues, each every 20 s, for 730 hours.
    assert standing["SQS, asked while empty"] == pytest.approx(1_314_000 * 0.40 / 1e6)


def test_what_is_turned_on_is_paid_for_and_what_is_off_is_not() -> None:
    off = {line.name for line in (*bill(Load(), sms_price=0.0).by_use, *bill(Load(), sms_price=0.0).by_month)}
    all_on = bill(Load(kms=True, tracing=True, snap_start=True), sms_price=0.0)
    on = {line.name for line in (*all_on.by_use, *all_on.by_month)}

    added = {"X-Ray", "Lambda, snapshots restored", "Lambda, snapshots kept", "KMS, your own key", "KMS, calls"}
    assert on - off == added
    assert off - on == {"Lambda, cold starts"}


@given(load=loads())
def test_no_line_is_negative_and_each_is_quantity_times_price(load: Load) -> None:
    found = bill(load, sms_price=0.01)

    lines = [*found.by_use, *found.by_month, found.sms]
    assert all(line.quantity >= 0 for line in lines)
    assert all(line.usd == pytest.approx(line.quantity / line.price.per * line.price.usd) for line in lines)


@given(load=loads(), more=st.floats(1.0, 10.0))
def test_more_of_anything_never_costs_less(load: Load, more: float) -> None:
    cost = bill(load, sms_price=0.01).aws

    for grown in _grown(load, more):
        assert bill(grown, sms_price=0.01).aws >= cost * (1 - 1e-9)


@given(load=loads())
def test_a_fuller_batch_never_costs_more(load: Load) -> None:
    emptier = replace(load, batch_size=max(1, load.batch_size - 1))

    assert bill(load, sms_price=0.01).aws <= bill(emptier, sms_price=0.01).aws * (1 + 1e-9)


@given(load=loads())
def test_a_start_in_a_batch_of_ten_is_never_dearer_than_one_over_http(load: Load) -> None:
    full = replace(load, batch_size=10, returning=0.0, snap_start=False)

    ways = of_a_million_starts(full, PRICES)

    assert ways["batched"] < ways["http"]


def test_another_price_takes_the_place_of_the_lists() -> None:
    dearer = bill(PLAIN, with_own({"http_api_request": 2.0}), sms_price=0.0)

    assert dearer.aws - bill(PLAIN, sms_price=0.0).aws == pytest.approx(2.0)


def test_a_price_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownPrice, match="no price lambda; there are http_api_request, lambda_request"):
        with_own({"lambda": 1.0})


def test_the_command_prints_every_line_and_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--verifications", "5000", "--sms-price", "0.05"]) == 0

    printed = capsys.readouterr().out
    found = bill(Load(verifications=5000), sms_price=0.05)
    assert all(line.name in printed for line in (*found.by_use, *found.by_month))
    assert f"{found.aws:.2f}" in printed
    assert "275.00" in printed


def test_the_command_tells_machines_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    found = bill(Load(), sms_price=0.0079)
    assert told["aws_usd"] == pytest.approx(found.aws)
    assert [line["name"] for line in told["by_use"]] == [line.name for line in found.by_use]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--queued", "0.6", "--batched", "0.6"], "together they are at most 1"),
        (["--batched", "0.6", "--bulk", "0.6"], "together they are at most 1"),
        (["--price", "lambda=1"], "there is no price lambda"),
    ],
)
def test_what_does_not_go_together_is_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", *options]) == 1

    answer = capsys.readouterr()
    assert sentence in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    "options",
    [
        ["--verifications", "0"],
        ["--verifications", "1e6"],
        ["--queued", "1.1"],
        ["--checks", "nan"],
        ["--checks", "-1"],
        ["--memory", "64"],
        ["--batch-size", "11"],
        ["--gateway-latency", "9"],
        ["--price", "sqs_request"],
        ["--price", "sqs_request=cheap"],
    ],
)
def test_a_number_that_is_none_is_refused_with_what_is_allowed(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["cost", *options])

    assert stop.value.code == 2
    assert "must be a" in capsys.readouterr().err


def test_the_operators_guide_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    main(["cost"])

    assert f"```\n{capsys.readouterr().out}```\n" in OPERATIONS.read_text(encoding="utf-8")


def test_the_bill_is_of_the_stack_that_the_templates_describe() -> None:
    template = read()

    assert template["Globals"]["Function"]["MemorySize"] == Load().memory
    assert template["Parameters"]["LogRetention"]["Default"] == Load().log_retention
    assert {function.architecture for function in functions(template)} == {"x86_64"}
    assert len(METRICS) == usage.PROVIDER_METRICS + usage.FAILOVER_METRICS + usage.STACK_METRICS


def test_every_metric_that_an_alarm_looks_at_is_paid_for() -> None:
    if not MONITORING.exists():
        pytest.skip("there are no alarms yet")

    assert sum(_watched()) == usage.ALARM_METRICS


async def test_log_lines_are_about_as_long_as_the_bill_takes_them_for(logs: Logs) -> None:
    send, identifier = await logs.of_a_start()
    check = await logs.of_a_check(identifier)
    receipt = await logs.of_a_receipt(identifier)

    measured = {"send": send, "check": check, "receipt": receipt}
    counted = {"send": usage.SEND_LINE + usage.METRICS_LINE, "check": usage.CHECK_LINE, "receipt": usage.RECEIPT_LINE}
    assert measured == pytest.approx(counted, rel=0.15)


class Logs:
    """What the functions write for a second invocation, in bytes: the first has the cold start's marks."""

    def __init__(self, base: Base, folder: Path) -> None:
        self.base = base
        self.log = folder / "function.log"

    async def of_a_start(self) -> tuple[int, str]:
        event = [http_event("POST", "/v1/verifications", {"to": fresh_number().e164}) for _ in range(2)]
        size, answer = await self._second("api", *event)
        return size, body_of(answer)["id"]

    async def of_a_check(self, identifier: str) -> int:
        event = http_event("POST", f"/v1/verifications/{identifier}/check", {"code": "000000"})
        return (await self._second("api", event, event))[0]

    async def of_a_receipt(self, identifier: str) -> int:
        report = {"uid": f"{identifier}.1", "report_status": "SUCCESS"}
        path = f"/v1/receipts/yunpian/{self.base.resources.account_token('yunpian')}"
        event = http_event("POST", path, urlencode({"sms_status": quote(json.dumps([report]))}))
        return (await self._second("receipts", event, event))[0]

    async def _second(self, name: str, *events: dict[str, object]) -> tuple[int, dict[str, object]]:
        environment = self.base.environment(receipts_url="http://127.0.0.1:9")
        function = await ExecutionEnvironment.start(
            f"functions.handlers.{name}.handler", environment, timeout=15.0, name=name, log=self.log
        )
        try:
            await function.invoke(events[0])
            before = self.log.stat().st_size
            answer = await function.invoke(events[1])
        finally:
            await function.stop()
        return self.log.stat().st_size - before, answer


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Logs]:
    async with start_base(latency=0.0, fail=0.0) as base:
        yield Logs(base, tmp_path)


def _grown(load: Load, more: float) -> Iterator[Load]:
    yield replace(load, verifications=int(load.verifications * more))
    yield replace(load, resends=load.resends * more)
    yield replace(load, checks=load.checks * more)
    yield replace(load, gateway_latency=load.gateway_latency * more)
    yield replace(load, log_retention=int(load.log_retention * more))
    yield replace(load, returning=min(1.0, load.returning * more))
    yield replace(load, idempotent=min(1.0, load.idempotent * more))
    yield replace(load, cold_starts=min(1.0, load.cold_starts * more))
    yield replace(load, receipts=True)
    yield replace(load, guard=True)
    yield replace(load, providers=load.providers + 1)
    yield replace(load, rated=min(1.0, load.rated * more))
    yield replace(load, learning=min(1.0, load.learning * more))
    yield replace(load, confirmed=min(1.0, load.confirmed * more))
    yield replace(load, kms=True)
    yield replace(load, tracing=True)


def _watched() -> Iterator[int]:
    """For each alarm, how many metrics it looks at."""
    for resource in read(MONITORING)["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            asked = resource["Properties"].get("Metrics")
            yield 1 if asked is None else sum("MetricStat" in each for each in asked)
