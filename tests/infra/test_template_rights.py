"""The functions' roles: one each, with what is needed and no more. That it is needed, test_recorded_calls.py shows."""

from __future__ import annotations

from typing import Any

import pytest

from infra.template import TEMPLATE, functions, nested, read
from tests.roles import PHONES, PROVIDERS, Call, Right, rights_in, rights_of

MAIN = read()
FUNCTIONS = [function.name for function in functions(MAIN)]
ALL = {path.name: read(path) for path in (TEMPLATE, *nested(MAIN))}
CONDITIONS = list(MAIN["Conditions"])

TABLE = "Storage.Outputs.TableArn"
KEYS = "Storage.Outputs.KeysSecretArn"
CALLERS = "Storage.Outputs.CallersSecretArn"
QUEUE = "Messaging.Outputs.QueueArn"
BULK_QUEUE = "Messaging.Outputs.BulkQueueArn"
DEAD_LETTERS = "Messaging.Outputs.DeadLetterQueueArn"
VERIFICATIONS, ANSWERS, BATCHES, CIRCUITS, RATES, TIMES = "v#*", "a#*", "p#*", "c#*", "r#*", "t#*"
ADDRESSES, SOLUTIONS = "i#*", "h#*"
BLOCKS, COUNTRIES, CLOSED, GUESSES, LISTS = "b#*", "n#*", "k#*", "g#*", "l#*"
NUMBERS, MONEY, DECISIONS = "e#*", "m#*", "d#*"
GUARD = {
    *(Right("dynamodb:GetItem", TABLE, kind) for kind in (GUESSES, LISTS)),
    *(Right("dynamodb:BatchGetItem", TABLE, kind) for kind in (ADDRESSES, BLOCKS, COUNTRIES, CLOSED)),
    *(Right("dynamodb:UpdateItem", TABLE, kind) for kind in (BLOCKS, COUNTRIES, CLOSED, GUESSES)),
    *(Right("dynamodb:UpdateItem", TABLE, kind) for kind in (NUMBERS, MONEY, DECISIONS)),
    Right("dynamodb:UpdateItem", TABLE, ADDRESSES),
    *(Right("dynamodb:PutItem", TABLE, kind) for kind in (CLOSED, SOLUTIONS)),
}

MANY_VERIFICATIONS = {
    Right(f"dynamodb:{action}", TABLE, VERIFICATIONS) for action in ("BatchGetItem", "PartiQLInsert", "PartiQLUpdate")
}

MANY_COUNTS = {
    *(Right("dynamodb:PartiQLInsert", TABLE, kind) for kind in (ADDRESSES, BLOCKS, DECISIONS)),
    *(Right("dynamodb:PartiQLUpdate", TABLE, kind) for kind in (ADDRESSES, BLOCKS)),
}


def sender_rights(queue: str, logs: str) -> set[Right]:
    """Of a sender that takes from this queue and goes on with it."""
    return {
        Right("dynamodb:GetItem", TABLE, VERIFICATIONS),
        Right("dynamodb:PutItem", TABLE, VERIFICATIONS),
        *MANY_VERIFICATIONS,
        *MANY_COUNTS,
        Right("dynamodb:UpdateItem", TABLE, BATCHES),
        Right("dynamodb:GetItem", TABLE, CIRCUITS),
        Right("dynamodb:UpdateItem", TABLE, CIRCUITS),
        Right("dynamodb:UpdateItem", TABLE, RATES),
        Right("dynamodb:GetItem", TABLE, TIMES),
        *GUARD,
        Right("secretsmanager:GetSecretValue", KEYS),
        Right("secretsmanager:GetSecretValue", PROVIDERS),
        Right("sqs:ReceiveMessage", queue),
        Right("sqs:DeleteMessage", queue),
        Right("sqs:GetQueueAttributes", queue),
        Right("sqs:ChangeMessageVisibility", queue),
        Right("sqs:SendMessage", queue),
        Right("sqs:SendMessage", DEAD_LETTERS),
        Right("logs:CreateLogStream", logs),
        Right("logs:PutLogEvents", logs),
    }


RIGHTS = {
    "ApiFunction": {
        Right("dynamodb:GetItem", TABLE, VERIFICATIONS),
        Right("dynamodb:PutItem", TABLE, VERIFICATIONS),
        Right("dynamodb:UpdateItem", TABLE, VERIFICATIONS),
        *MANY_VERIFICATIONS,
        *MANY_COUNTS,
        Right("dynamodb:PutItem", TABLE, ANSWERS),
        Right("dynamodb:UpdateItem", TABLE, ANSWERS),
        Right("dynamodb:DeleteItem", TABLE, ANSWERS),
        Right("dynamodb:GetItem", TABLE, BATCHES),
        Right("dynamodb:PutItem", TABLE, BATCHES),
        Right("dynamodb:UpdateItem", TABLE, BATCHES),
        Right("dynamodb:GetItem", TABLE, CIRCUITS),
        Right("dynamodb:UpdateItem", TABLE, CIRCUITS),
        Right("dynamodb:UpdateItem", TABLE, RATES),
        Right("dynamodb:GetItem", TABLE, TIMES),
        *GUARD,
        Right("secretsmanager:GetSecretValue", KEYS),
        Right("secretsmanager:GetSecretValue", CALLERS),
        Right("secretsmanager:GetSecretValue", PROVIDERS),
        Right("sqs:SendMessage", QUEUE),
        Right("sqs:SendMessage", BULK_QUEUE),
        Right("logs:CreateLogStream", "ApiLogs.Arn"),
        Right("logs:PutLogEvents", "ApiLogs.Arn"),
    },
    "SenderFunction": sender_rights(QUEUE, "SenderLogs.Arn"),
    "BulkSenderFunction": sender_rights(BULK_QUEUE, "BulkSenderLogs.Arn"),
    "ReceiptsFunction": {
        Right("dynamodb:GetItem", TABLE, VERIFICATIONS),
        Right("dynamodb:PutItem", TABLE, VERIFICATIONS),
        Right("dynamodb:UpdateItem", TABLE, TIMES),
        Right("secretsmanager:GetSecretValue", PROVIDERS),
        Right("logs:CreateLogStream", "ReceiptsLogs.Arn"),
        Right("logs:PutLogEvents", "ReceiptsLogs.Arn"),
    },
}

WITH_A_KEY_OF_ONES_OWN = {
    # To send to an encrypted queue takes a new data key, and a look at the one that SQS keeps.
    "ApiFunction": {("kms:Decrypt", "dynamodb"), ("kms:Decrypt", "secretsmanager")}
    | {("kms:Decrypt", "sqs"), ("kms:GenerateDataKey", "sqs")},
    "SenderFunction": {("kms:Decrypt", "dynamodb"), ("kms:Decrypt", "secretsmanager")}
    | {("kms:Decrypt", "sqs"), ("kms:GenerateDataKey", "sqs")},
    "BulkSenderFunction": {("kms:Decrypt", "dynamodb"), ("kms:Decrypt", "secretsmanager")}
    | {("kms:Decrypt", "sqs"), ("kms:GenerateDataKey", "sqs")},
    "ReceiptsFunction": {("kms:Decrypt", "dynamodb"), ("kms:Decrypt", "secretsmanager")},
}

SENDING_BY_AWS = {
    # A sender, pool or number may be AWS's choice. And SNS sends by End User Messaging, in its caller's name.
    "ApiFunction": {Right("sms-voice:SendTextMessage", "*"), Right("sns:Publish", PHONES)},
    "SenderFunction": {Right("sms-voice:SendTextMessage", "*"), Right("sns:Publish", PHONES)}
    | {Right("sms-voice:PutMessageFeedback", "*")},
    "BulkSenderFunction": {Right("sms-voice:SendTextMessage", "*"), Right("sns:Publish", PHONES)}
    | {Right("sms-voice:PutMessageFeedback", "*")},
    "ReceiptsFunction": set(),
}

each_function = pytest.mark.parametrize("function", FUNCTIONS)


@each_function
def test_each_function_may_do_what_it_needs_and_nothing_else(function: str) -> None:
    assert rights_of(function) == RIGHTS[function]


@each_function
def test_a_key_of_ones_own_may_be_used_through_the_services_that_it_encrypts_for(function: str) -> None:
    more = rights_of(function, when=["OwnKey"]) - RIGHTS[function]

    assert more == {Right(action, "KmsKeyArn", service) for action, service in WITH_A_KEY_OF_ONES_OWN[function]}


@each_function
def test_traces_may_be_written_where_they_are_switched_on(function: str) -> None:
    more = rights_of(function, when=["Traced"]) - RIGHTS[function]

    assert more == {Right("xray:PutTraceSegments", "*"), Right("xray:PutTelemetryRecords", "*")}


@each_function
def test_sms_are_sent_by_aws_where_that_is_wanted(function: str) -> None:
    assert rights_of(function, when=["ByAws"]) - RIGHTS[function] == SENDING_BY_AWS[function]


def test_no_action_is_a_wildcard_and_no_resource_but_where_there_are_none_to_name() -> None:
    roles = [role for template in ALL.values() for role in _roles(template).values()]
    granted = {right for role in roles for right in rights_in(role, when=CONDITIONS)}

    assert granted
    assert {right for right in granted if "*" in right.action} == set()
    services = {right.action.partition(":")[0] for right in granted if "*" in right.resource}
    assert services == {"secretsmanager", "sms-voice", "sns", "xray"}
    assert {right.resource for right in granted if "*" in right.resource and "secret" in right.action} == {PROVIDERS}


def test_every_right_to_items_names_the_keys_that_they_begin_with() -> None:
    granted = {right for function in FUNCTIONS for right in rights_of(function, when=CONDITIONS)}

    assert {right.only for right in granted if right.action.startswith("dynamodb:")} == {
        *(VERIFICATIONS, ANSWERS, BATCHES),
        *(CIRCUITS, RATES, TIMES),
        *(ADDRESSES, SOLUTIONS, BLOCKS, COUNTRIES, CLOSED, GUESSES, LISTS, NUMBERS, MONEY, DECISIONS),
    }


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("ApiFunction", Call("dynamodb:GetItem", TABLE, "a#key")),
        ("ApiFunction", Call("dynamodb:DeleteItem", TABLE, "v#key")),
        ("ApiFunction", Call("dynamodb:PutItem", TABLE, "x#key")),
        ("ApiFunction", Call("dynamodb:PutItem", TABLE)),
        ("ApiFunction", Call("dynamodb:Scan", TABLE)),
        ("ApiFunction", Call("dynamodb:PartiQLSelect", TABLE, "v#key")),
        ("ApiFunction", Call("sqs:SendMessage", DEAD_LETTERS)),
        ("ApiFunction", Call("sqs:ReceiveMessage", QUEUE)),
        ("SenderFunction", Call("dynamodb:PutItem", TABLE, "a#key")),
        ("SenderFunction", Call("dynamodb:PartiQLInsert", TABLE, "a#key")),
        ("SenderFunction", Call("dynamodb:UpdateItem", TABLE, "v#key")),
        ("SenderFunction", Call("dynamodb:DeleteItem", TABLE, "v#key")),
        ("SenderFunction", Call("secretsmanager:GetSecretValue", CALLERS)),
        ("ApiFunction", Call("dynamodb:GetItem", TABLE, "r#key")),
        ("ApiFunction", Call("dynamodb:UpdateItem", TABLE, "t#key")),
        ("ApiFunction", Call("sms-voice:PutMessageFeedback", "*")),
        ("SenderFunction", Call("dynamodb:UpdateItem", TABLE, "t#key")),
        ("SenderFunction", Call("sns:Publish", "Messaging.Outputs.ReceiptsTopicArn")),
        ("SenderFunction", Call("sqs:ReceiveMessage", BULK_QUEUE)),
        ("SenderFunction", Call("dynamodb:PutItem", TABLE, "p#batch")),
        ("BulkSenderFunction", Call("sqs:ReceiveMessage", QUEUE)),
        ("BulkSenderFunction", Call("sqs:SendMessage", QUEUE)),
        ("BulkSenderFunction", Call("dynamodb:GetItem", TABLE, "p#batch")),
        ("BulkSenderFunction", Call("secretsmanager:GetSecretValue", CALLERS)),
        ("ApiFunction", Call("sqs:ReceiveMessage", BULK_QUEUE)),
        ("ApiFunction", Call("dynamodb:DeleteItem", TABLE, "p#batch")),
        ("ReceiptsFunction", Call("dynamodb:UpdateItem", TABLE, "p#batch")),
        ("ReceiptsFunction", Call("dynamodb:PutItem", TABLE, "a#key")),
        ("ReceiptsFunction", Call("dynamodb:DeleteItem", TABLE, "v#key")),
        ("ReceiptsFunction", Call("dynamodb:UpdateItem", TABLE, "v#key")),
        ("ReceiptsFunction", Call("secretsmanager:GetSecretValue", KEYS)),
        ("ReceiptsFunction", Call("dynamodb:GetItem", TABLE, "t#key")),
        ("ReceiptsFunction", Call("dynamodb:UpdateItem", TABLE, "c#key")),
        ("ReceiptsFunction", Call("sms-voice:SendTextMessage", "*")),
        ("ReceiptsFunction", Call("sqs:SendMessage", QUEUE)),
        ("ApiFunction", Call("dynamodb:UpdateItem", TABLE, "l#lists")),
        ("ApiFunction", Call("dynamodb:PutItem", TABLE, "m#1#*")),
        ("ApiFunction", Call("dynamodb:DeleteItem", TABLE, "k#DE")),
        ("ApiFunction", Call("dynamodb:GetItem", TABLE, "d#1#key")),
        ("SenderFunction", Call("dynamodb:UpdateItem", TABLE, "l#lists")),
        ("SenderFunction", Call("dynamodb:PutItem", TABLE, "m#1#*")),
        ("ReceiptsFunction", Call("dynamodb:UpdateItem", TABLE, "m#1#*")),
        ("ReceiptsFunction", Call("dynamodb:GetItem", TABLE, "l#lists")),
        ("ReceiptsFunction", Call("dynamodb:UpdateItem", TABLE, "b#key#1")),
    ],
    ids=lambda part: part if isinstance(part, str) else f"{part.action} {part.resource} {part.key}",
)
def test_what_is_not_its_business_a_function_may_not_do(function: str, call: Call) -> None:
    assert not any(call.is_allowed_by(right) for right in rights_of(function, when=CONDITIONS))


def test_no_right_comes_from_elsewhere() -> None:
    roles = [MAIN["Resources"][name]["Properties"]["Role"]["Fn::GetAtt"][0] for name in FUNCTIONS]
    own = [MAIN["Resources"][name]["Properties"] for name in FUNCTIONS]

    assert len(set(roles)) == len(FUNCTIONS)
    assert sorted(roles) == sorted(name for template in ALL.values() for name in _roles(template))
    assert all("ManagedPolicyArns" not in role["Properties"] for role in _roles(MAIN).values())
    assert all("Policies" not in properties for properties in own)


def _roles(template: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == "AWS::IAM::Role"}
