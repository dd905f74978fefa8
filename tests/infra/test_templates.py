"""The templates, read as text: routes, variables, parameters, and what the main one asks of those nested in it."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.environments import ROOT
from infra.template import TEMPLATE, Function, functions, nested, read

MAIN = read()
FUNCTIONS = {function.name: function for function in functions(MAIN)}
ALL = {path.name: read(path) for path in (TEMPLATE, *nested(MAIN))}

ROUTES = {
    "POST /v1/verifications": "ApiFunction",
    "POST /v1/verifications/batch": "ApiFunction",
    "GET /v1/batches/{batch}": "ApiFunction",
    "POST /v1/verifications/{id}/check": "ApiFunction",
    "GET /v1/verifications/{id}": "ApiFunction",
    "DELETE /v1/verifications/{id}": "ApiFunction",
    "POST /v1/challenges": "ApiFunction",
    "GET /v1/jwks.json": "ApiFunction",
    "GET /v1/health": "ApiFunction",
    "POST /v1/receipts/{provider}/{token}": "ReceiptsFunction",
    "GET /v1/receipts/{provider}/{token}": "ReceiptsFunction",
}

OPEN = {
    *("GET /v1/health", "GET /v1/jwks.json"),
    *("POST /v1/receipts/{provider}/{token}", "GET /v1/receipts/{provider}/{token}"),
}
"""To whoever comes: the receipts have a password of their own, in their address."""

EVERYWHERE = {
    *("AWS_ENDPOINT_URL", "PROVIDERS_URL", "STACK_NAME", "TABLE_NAME", "LOG_LEVEL"),
    *("PROVIDER_SECRETS", "RECEIPTS_URL"),
}
SENDING = EVERYWHERE | {"KEYS_SECRET", "QUEUE_URL", "SMS_CONFIGURATION_SET"}
VARIABLES = {
    "ApiFunction": SENDING | {"BULK_QUEUE_URL", "CALLERS_SECRET", "AUTHORIZER"},
    "SenderFunction": SENDING | {"DEAD_LETTER_QUEUE_URL", "MAX_IN_FLIGHT"},
    "BulkSenderFunction": SENDING | {"DEAD_LETTER_QUEUE_URL", "MAX_IN_FLIGHT", "LANE"},
    "ReceiptsFunction": EVERYWHERE,
}

SECRETS = {
    "KEYS_SECRET": "KeysSecretArn",
    "CALLERS_SECRET": "CallersSecretArn",
}

OWN_KEY = {"Fn::If": ["OwnKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}

each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def test_the_sender_takes_ten_at_once_without_delay_and_gives_failures_back_one_by_one() -> None:
    (event,) = _events("SenderFunction", "SQS")

    assert event["Queue"] == {"Fn::GetAtt": ["Messaging", "Outputs.QueueArn"]}
    assert event["BatchSize"] == 10
    assert event["MaximumBatchingWindowInSeconds"] == 0
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_batches_go_by_a_queue_and_a_sender_of_their_own_a_hundred_at_once() -> None:
    (event,) = _events("BulkSenderFunction", "SQS")
    sender = FUNCTIONS["BulkSenderFunction"]

    assert event["Queue"] == {"Fn::GetAtt": ["Messaging", "Outputs.BulkQueueArn"]}
    assert event["BatchSize"] == 100
    assert event["MaximumBatchingWindowInSeconds"] == 1  # AWS takes no less above ten
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (sender.handler, sender.timeout) == (FUNCTIONS["SenderFunction"].handler, 60)


def test_each_lane_has_its_own_queue_to_go_on_with() -> None:
    lanes = {
        name: (FUNCTIONS[name].environment["QUEUE_URL"], FUNCTIONS[name].environment.get("LANE"))
        for name in ("ApiFunction", "SenderFunction", "BulkSenderFunction")
    }

    single, bulk = [{"Fn::GetAtt": ["Messaging", f"Outputs.{url}"]} for url in ("QueueUrl", "BulkQueueUrl")]
    assert lanes == {
        "ApiFunction": (single, None),
        "SenderFunction": (single, None),
        "BulkSenderFunction": (bulk, "bulk"),
    }
    assert FUNCTIONS["ApiFunction"].environment["BULK_QUEUE_URL"] == bulk


@pytest.mark.parametrize(
    ("function", "parameter"), [("SenderFunction", "SenderConcurrency"), ("BulkSenderFunction", "BulkConcurrency")]
)
def test_how_many_senders_run_at_once_is_the_operators_to_say(function: str, parameter: str) -> None:
    (event,) = _events(function, "SQS")

    assert event["ScalingConfig"] == {"MaximumConcurrency": {"Ref": parameter}}
    assert MAIN["Parameters"][parameter]["MinValue"] == 2  # AWS takes no less


def test_http_functions_answer_before_the_gateway_gives_up() -> None:
    assert FUNCTIONS["ApiFunction"].timeout == 20
    assert FUNCTIONS["ReceiptsFunction"].timeout == 10


def test_the_template_has_exactly_the_routes_of_the_interface() -> None:
    routes = {f"{event['Method']} {event['Path']}": name for name in FUNCTIONS for event in _events(name, "HttpApi")}

    assert routes == ROUTES


def test_an_authorizer_stands_before_all_routes_but_those_that_are_open_to_all() -> None:
    paths = MAIN["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]

    asked = {
        f"{method.upper()} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert set(asked) == set(ROUTES) - OPEN
    where_it_is_wanted = {"Fn::If": ["AskAuthorizer", [{"caller": []}], {"Ref": "AWS::NoValue"}]}
    assert [operation for operation in asked.values() if operation != {"security": where_it_is_wanted}] == []
    assert MAIN["Conditions"]["AskAuthorizer"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Authorizer"}, "keys"]}]}


def test_the_function_is_told_who_tells_callers_apart() -> None:
    assert FUNCTIONS["ApiFunction"].environment["AUTHORIZER"] == {"Ref": "Authorizer"}
    assert MAIN["Parameters"]["Authorizer"]["AllowedValues"] == ["keys", "iam", "jwt"]
    assert MAIN["Parameters"]["Authorizer"]["Default"] == "keys"


def test_tokens_are_of_the_operators_issuer_and_for_the_operators_audience() -> None:
    condition, schemes, otherwise = MAIN["Resources"]["Api"]["Properties"]["DefinitionBody"]["components"]["Fn::If"]
    by_jwt, jwt, iam = schemes["securitySchemes"]["caller"]["Fn::If"]

    assert (condition, by_jwt, otherwise) == ("AskAuthorizer", "ByJwt", {"Ref": "AWS::NoValue"})
    authorizer = jwt["x-amazon-apigateway-authorizer"]
    assert authorizer["jwtConfiguration"] == {"issuer": {"Ref": "JwtIssuer"}, "audience": [{"Ref": "JwtAudience"}]}
    assert iam["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_every_route_is_on_the_one_api_with_payload_2() -> None:
    events = [event for name in FUNCTIONS for event in _events(name, "HttpApi")]

    assert {json.dumps(event["ApiId"]) for event in events} == {'{"Ref": "Api"}'}
    assert {event.get("PayloadFormatVersion", "2.0") for event in events} == {"2.0"}


@each_function
def test_the_handler_is_where_the_template_says(function: Function) -> None:
    module, _, name = function.handler.rpartition(".")
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")

    assert module.startswith("functions.handlers.")
    assert name in _names_of(ast.parse(source))


@each_function
def test_each_function_finds_its_settings_in_the_environment(function: Function) -> None:
    assert set(function.environment) == VARIABLES[function.name]


@each_function
def test_secrets_are_named_in_the_environment_and_never_there_themselves(function: Function) -> None:
    named = {name: value for name, value in function.environment.items() if name.endswith("_SECRET")}

    assert named == {name: {"Fn::GetAtt": ["Storage", f"Outputs.{SECRETS[name]}"]} for name in named}


@each_function
def test_providers_secrets_are_found_by_their_names(function: Function) -> None:
    assert function.environment["PROVIDER_SECRETS"] == {"Fn::Sub": "${AWS::StackName}-provider-"}


@each_function
def test_on_aws_nothing_simulates_a_provider(function: Function) -> None:
    assert function.environment["PROVIDERS_URL"] == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize("function", ["ApiFunction", "SenderFunction", "BulkSenderFunction"])
def test_messages_by_aws_are_sent_with_the_set_whose_events_come_to_us(function: str) -> None:
    chosen = FUNCTIONS[function].environment["SMS_CONFIGURATION_SET"]

    assert chosen == {
        "Fn::If": ["ByAws", {"Fn::GetAtt": ["Messaging", "Outputs.ConfigurationSet"]}, {"Ref": "AWS::NoValue"}]
    }


def test_without_sms_by_aws_there_is_nothing_of_it() -> None:
    """By default. Whatever names a part of it hangs on the same condition."""
    assert MAIN["Parameters"]["SendByAws"]["Default"] == "false"
    for template in ALL.values():
        parts = {**template["Resources"], **template["Outputs"]}
        about = {name for name, part in parts.items() if _is_about_sms_by_aws(part)}
        assert {name for name in about if parts[name].get("Condition") != "ByAws"} == set()
        assert all(template["Conditions"]["ByAws"] == {"Fn::Equals": [{"Ref": "SendByAws"}, "true"]} for _ in about)


def test_events_of_aws_invoke_the_receipts() -> None:
    subscription = MAIN["Resources"]["ReceiptsFromAws"]["Properties"]
    permission = MAIN["Resources"]["ReceiptsFromAwsPermission"]["Properties"]
    topic = {"Fn::GetAtt": ["Messaging", "Outputs.ReceiptsTopicArn"]}

    assert (subscription["TopicArn"], subscription["Protocol"]) == (topic, "lambda")
    assert (permission["SourceArn"], permission["Principal"]) == (topic, "sns.amazonaws.com")
    assert subscription["Endpoint"] == permission["FunctionName"] == {"Ref": "ReceiptsFunction.Alias"}


def test_with_a_key_of_ones_own_everything_that_is_stored_is_encrypted_with_it() -> None:
    properties = {
        "AWS::SecretsManager::Secret": "KmsKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::SNS::Topic": "KmsMasterKeyId",
    }
    keys = [
        each["Properties"].get(properties[each["Type"]])
        for template in ALL.values()
        for each in template["Resources"].values()
        if each["Type"] in properties
    ]

    assert keys == [OWN_KEY] * 12
    assert MAIN["Globals"]["Function"]["KmsKeyArn"] == OWN_KEY  # their environment, and snapshots of their memory


def test_the_access_log_tells_of_routes_and_nothing_of_callers() -> None:
    form = MAIN["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"]

    told = {value.removeprefix("$context.") for value in json.loads(form).values()}
    assert told == {
        "requestId",
        "requestTime",
        "routeKey",
        "status",
        "responseLatency",
        "error.responseType",
        "integrationErrorMessage",
    }


def test_what_comes_over_the_operators_rate_never_reaches_a_function() -> None:
    settings = MAIN["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]

    assert settings == {"ThrottlingRateLimit": {"Ref": "ApiRate"}, "ThrottlingBurstLimit": {"Ref": "ApiRate"}}


@pytest.mark.parametrize(
    ("function", "condition", "parameter"),
    [
        ("ApiFunction", "LimitApi", "ApiConcurrency"),
        ("SenderFunction", "ReserveSender", "SenderReservedConcurrency"),
    ],
)
def test_concurrency_is_reserved_where_the_operator_says_how_much(
    function: str, condition: str, parameter: str
) -> None:
    reserved = MAIN["Resources"][function]["Properties"]["ReservedConcurrentExecutions"]

    assert reserved == {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]}
    assert MAIN["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, "0"]}]}
    assert MAIN["Parameters"][parameter]["Default"] == 0


@each_function
def test_each_function_logs_to_a_group_of_its_own_that_forgets(function: Function) -> None:
    group = MAIN["Resources"][function.name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]

    assert group == function.name.replace("Function", "Logs")
    assert MAIN["Resources"][group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetention"}


def test_one_build_serves_all_functions() -> None:
    own = [MAIN["Resources"][name] for name in FUNCTIONS]

    assert MAIN["Globals"]["Function"]["CodeUri"] == "functions/"
    assert all("CodeUri" not in function["Properties"] for function in own)
    assert [function["Metadata"]["BuildProperties"] for function in own] == [
        {"ParentPackageMode": "explicit", "ParentPackages": "functions"}
    ] * len(FUNCTIONS)


def test_sam_is_told_where_the_dependencies_are_listed() -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))

    assert settings["default"]["build"]["parameters"]["manifest"] == "requirements.txt"


def test_what_matters_most_is_asked_first_and_enter_answers_everything() -> None:
    parameters = MAIN["Parameters"]

    assert list(parameters)[:3] == ["AlarmEmail", "ReceiptsUrl", "SendByAws"]
    assert [name for name, parameter in parameters.items() if "Default" not in parameter] == []


@pytest.mark.parametrize("stack", ["Storage", "Messaging", "Monitoring"])
def test_a_nested_stack_is_told_what_it_asks_and_nothing_else(stack: str) -> None:
    properties = MAIN["Resources"][stack]["Properties"]
    asked = ALL[Path(properties["Location"]).name]["Parameters"]

    told = set(properties["Parameters"])
    assert {name for name, parameter in asked.items() if "Default" not in parameter} <= told <= set(asked)


def test_every_parameter_is_used() -> None:
    for file, template in ALL.items():
        text = json.dumps({part: value for part, value in template.items() if part != "Parameters"})
        unused = [
            name
            for name in template.get("Parameters", {})
            if f'"Ref": "{name}"' not in text and f"${{{name}}}" not in text
        ]
        assert unused == [], file


def test_every_parameter_says_what_it_is() -> None:
    silent = [
        f"{file}: {name}"
        for file, template in ALL.items()
        for name, parameter in template.get("Parameters", {}).items()
        if not parameter.get("Description")
    ]

    assert silent == []


def test_whatever_holds_something_says_what_becomes_of_it() -> None:
    kinds = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::SQS::Queue", "AWS::Logs::LogGroup")
    holding = [each for template in ALL.values() for each in template["Resources"].values() if each["Type"] in kinds]

    assert len(holding) == 11
    assert all({"DeletionPolicy", "UpdateReplacePolicy"} <= each.keys() for each in holding)


def test_what_the_main_template_asks_of_a_nested_one_is_there() -> None:
    asked = {value for value in _getatts(MAIN) if ".Outputs." in value}

    offered = {
        f"{name}.Outputs.{output}"
        for name, resource in MAIN["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Application"
        for output in ALL[Path(resource["Properties"]["Location"]).name]["Outputs"]
    }
    assert asked
    assert asked - offered == set()


def _events(function: str, kind: str) -> list[dict[str, Any]]:
    events = MAIN["Resources"][function]["Properties"]["Events"].values()
    return [event["Properties"] for event in events if event["Type"] == kind]


def _is_about_sms_by_aws(part: dict[str, Any]) -> bool:
    if part.get("Type") in {"AWS::Serverless::Application", "AWS::Serverless::Function", "AWS::IAM::Role"}:
        return False  # those name it in an Fn::If of that condition, which test_template_rights.py and others look at
    text = json.dumps(part)
    return any(name in text for name in ("ReceiptsTopic", "ConfigurationSet", "sms-voice"))


def _getatts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _getatts(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Fn::GetAtt":
                yield ".".join(value)
            else:
                yield from _getatts(value)


def _names_of(module: ast.Module) -> set[str]:
    """What the module defines at its top."""
    names: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names
