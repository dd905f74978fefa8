"""./salvo demo, as its user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from infra.environments import ROOT
from infra.local.fates import Fate, Result


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.command", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=110,
    )


def test_every_code_is_sent_once_and_stored() -> None:
    done = demo("--codes", "40", "--latency", "0.3")

    assert done.returncode == 0, done.stderr
    assert "40 of 40 codes sent" in done.stdout
    assert "40 codes are stored in the table and expire from" in done.stdout
    assert "lost: 0, sent twice: 0" in done.stdout
    assert len(re.findall(r"\+(?:49|86)[0-9]{11}.*vfy_k1_[a-z2-7]{40}.*accepted", done.stdout)) == 20
    assert "… and 20 more" in done.stdout


def test_what_the_gateway_refuses_is_sent_later_and_what_it_drops_is_told() -> None:
    done = demo("--codes", "12", "--latency", "0.1", "--fail", "0.5")

    assert done.returncode == 0, done.stdout + done.stderr
    sent = int(re.findall(r"([0-9]+) of 12 codes sent", done.stdout)[0])
    told = sum(int(number) for number in re.findall(r"([0-9]+) not sent: ", done.stdout))
    assert sent + told == 12
    assert "unknown" in done.stdout


def test_what_one_provider_does_not_take_the_next_one_sends_and_the_table_says_which() -> None:
    done = demo("--codes", "10", "--latency", "0.1", "--provider", "twilio,vonage", "--down", "twilio")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 codes sent" in done.stdout
    assert "taken by twilio: 0, vonage: 10" in done.stdout
    assert len(re.findall(r"\+(?:49|86)[0-9]{11} │ vonage .*vfy_k1_[a-z2-7]{40}.*accepted", done.stdout)) == 10
    assert "lost: 0, sent twice: 0" in done.stdout


def test_a_provider_that_there_is_not_is_told_with_those_that_there_are() -> None:
    done = demo("--provider", "twilio,pigeon")

    assert done.returncode == 2
    assert "'pigeon' is no provider; there are aliyun, aliyun_batch, aws_sms" in done.stderr


def test_a_provider_that_is_down_has_to_be_one_that_is_asked() -> None:
    done = demo("--provider", "twilio", "--down", "vonage")

    assert done.returncode == 1
    assert done.stderr.splitlines() == ["salvo: --down names vonage, which is not asked: it goes with --provider"]


@pytest.mark.parametrize(
    "arguments",
    [["--codes", "0"], ["--codes", "10001"], ["--latency", "9"], ["--fail", "2"], ["--provider", "twilio,twilio"]],
)
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    assert demo(*arguments).returncode == 2


def fate(outcome: str, received: int) -> Fate:
    return Fate(number="+4915100000001", outcome=outcome, received=received)


def test_a_code_that_no_phone_has_and_no_log_explains_is_lost() -> None:
    fates = [fate("accepted", 1), fate("accepted", 0), fate("-", 0), fate("unknown", 0), fate("transient", 0)]

    assert Result(fates=fates, seconds=1, expiries=Counter()).lost == fates[1:3]


def test_a_code_that_a_phone_has_two_times_was_sent_twice() -> None:
    fates = [fate("accepted", 1), fate("accepted", 2)]

    assert Result(fates=fates, seconds=1, expiries=Counter()).twice == fates[1:]
