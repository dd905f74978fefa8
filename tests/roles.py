"""What the roles of template.yaml allow: IAM's rules as far as our statements use them. What they don't use fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from infra.template import read

PROVIDERS = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${AWS::StackName}-provider-*"
"""The secrets of all providers."""
PHONES = "not arn:${AWS::Partition}:sns:*:*:*"
"""Whoever may publish to all but topics and applications may publish to phones: numbers have no names of their own."""

_TEMPLATE = read()


@dataclass(frozen=True, slots=True)
class Right:
    action: str
    resource: str
    """As the template names it: Storage.Outputs.TableArn, KmsKeyArn, an ARN with its ${…}, or *. All but one: not …"""
    only: str | None = None
    """The pattern of a leading key, or the service through which a KMS key may be used."""


@dataclass(frozen=True, slots=True)
class Call:
    """What AWS is asked to do, in IAM's words."""

    action: str
    resource: str
    key: str = ""
    """The item's leading key, where it is about one."""

    def is_allowed_by(self, right: Right) -> bool:
        return (self.action, self.resource) == (right.action, right.resource) and (
            right.only is None or fnmatchcase(self.key, right.only)
        )


def rights_of(function: str, *, when: Collection[str] = ()) -> set[Right]:
    """What the function's role grants, where these of the template's conditions hold and no others."""
    role, attribute = _TEMPLATE["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"]
    assert attribute == "Arn"
    return rights_in(_TEMPLATE["Resources"][role], when=when)


def rights_in(role: Mapping[str, Any], *, when: Collection[str] = ()) -> set[Right]:
    return {right for statement in _statements(role, when) for right in _granted(statement)}


def _statements(role: Mapping[str, Any], when: Collection[str]) -> Iterator[Mapping[str, Any]]:
    for policy in role["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if "Fn::If" not in statement:
                yield statement
                continue
            condition, then, otherwise = statement["Fn::If"]
            assert otherwise == {"Ref": "AWS::NoValue"}
            if condition in when:
                yield then


def _granted(statement: Mapping[str, Any]) -> Iterator[Right]:
    assert statement.keys() - {"Condition"} in ({"Effect", "Action", "Resource"}, {"Effect", "Action", "NotResource"})
    assert statement["Effect"] == "Allow"
    resources = [_named(resource) for resource in _listed(statement.get("Resource", []))]
    resources += [f"not {_named(resource)}" for resource in _listed(statement.get("NotResource", []))]
    for action, resource, only in product(_listed(statement["Action"]), resources, _only(statement)):
        yield Right(action, resource, only)


def _only(statement: Mapping[str, Any]) -> list[str | None]:
    match statement.get("Condition"):
        case None:
            return [None]
        case {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns}, **others} if not others:
            return list(patterns)
        case {"StringEquals": {"kms:ViaService": services}, **others} if not others:
            return [service["Fn::Sub"].partition(".")[0] for service in _listed(services)]
        case condition:
            raise AssertionError(f"what this condition allows is not known here: {condition}")


def _named(resource: Any) -> str:
    match resource:
        case {"Fn::GetAtt": path}:
            return ".".join(path)
        case {"Ref": parameter}:
            return str(parameter)
        case {"Fn::Sub": text}:
            return str(text)
        case _:
            return str(resource)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
