"""AWS as the operator's commands use it: credentials, region, how long to wait, and errors in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from aiobotocore.session import get_session
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

AWS_ERRORS = (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError)
"""What a call may raise. `explain` makes a sentence of each."""

# A person is waiting: three tries of ten seconds are the longest silence.
_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})

_TOKEN_IS_OVER = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NOT_KNOWN = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"}
)


class AwsUnavailable(Exception):
    """Nothing can be asked. The message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Aws:
    region: str
    client: Callable[[str], Any]
    """Makes a client of a service, to be entered with `async with`."""

    @classmethod
    def of_the_shell(cls, region: str | None = None) -> Self:
        """With the credentials and, where no other is named, the region of the AWS CLI.

        Raises AwsUnavailable, and AWS's errors.
        """
        session = get_session()
        found = region or session.get_config_variable("region")
        if not found:
            raise AwsUnavailable("no region: pass --region, such as eu-central-1, or set AWS_DEFAULT_REGION")

        def client(service: str) -> Any:
            return session.create_client(service, region_name=found, config=_CONFIG)

        return cls(found, client)


def explain(error: Exception) -> str:
    """What went wrong, and where we know it what to do about it."""
    match error:
        case exceptions.ClientError():
            return _refusal(error)
        case ResponseParserError():
            return "whatever answers in AWS's place does not speak as AWS does: is there a proxy in between?"
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return f"AWS does not answer ({type(error).__name__}): is it the right region, is there internet?"
    return _without_access(error) or f"{type(error).__name__}: {error}"


def _without_access(error: Exception) -> str | None:
    match error:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return "there are no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE"
        case exceptions.ProfileNotFound():
            return f"{error}: AWS_PROFILE names it"
        case exceptions.SSOError() | exceptions.LoginError() | exceptions.TokenRetrievalError():
            return "the AWS login has expired: log in again, such as by `aws sso login`"
    return None


def _refusal(error: exceptions.ClientError) -> str:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in _TOKEN_IS_OVER:
        return "the AWS credentials have expired: log in again, such as by `aws sso login`"
    if code in _NOT_KNOWN:
        return f"AWS does not know these credentials ({code}): look at `aws configure list`"
    return f"AWS refuses {error.operation_name}: {message or code}"
