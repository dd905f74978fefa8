"""Whose API a campaign goes through, by what a stack says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.command import main
from infra.deployed import Deployed, NotDeployed
from infra.send.problems import Unusable
from infra.send.stack import as_target


def stack(**parameters: str) -> Deployed:
    outputs = {"ApiUrl": "https://api.example/"}
    told: dict[str, Any] = {"name": "salvo", "status": "UPDATE_COMPLETE", "resources": {}}
    return Deployed(**told, parameters=parameters, outputs=outputs)


@pytest.mark.parametrize("authorizer", ["keys", "jwt"])
def test_a_stack_tells_its_address_and_how_many_senders_it_lets_work(authorizer: str) -> None:
    found = as_target(stack(Authorizer=authorizer, BulkConcurrency="8"))

    assert (found.url, found.key, found.concurrency) == ("https://api.example", None, 8)


def test_a_stack_that_lets_in_by_iam_is_refused() -> None:
    with pytest.raises(Unusable, match="lets in by IAM"):
        as_target(stack(Authorizer="iam", BulkConcurrency="8"))


def test_a_stack_of_an_older_version_is_told_to_be_deployed_anew() -> None:
    with pytest.raises(NotDeployed, match="has no parameter BulkConcurrency"):
        as_target(stack())


def test_without_aws_a_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    path = tmp_path / "phones.csv"
    path.write_text("to\n+4915112345678\n")

    assert main(["send", str(path), "--stack", "salvo", "--region", "eu-central-1"]) == 1

    assert capsys.readouterr().err.startswith("salvo: AWS does not answer (EndpointConnectionError)")
