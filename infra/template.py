"""Reads template.yaml as the build, the checks and the tests need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.environments import ROOT

TEMPLATE = ROOT / "template.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the template, with what Globals say for all of them."""

    name: str
    handler: str
    """Such as functions.handlers.api.handler."""
    runtime: str
    architecture: str
    timeout: int
    environment: Mapping[str, Any]
    """Values as they stand in the template: text, or {"Ref": …} and the like."""


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template with its short forms (!Ref X) as long ones ({"Ref": "X"})."""
    template = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (it is a SafeLoader)
    if not isinstance(template, dict):
        raise TypeError(f"{path} is no template")
    return template


def functions(template: Mapping[str, Any]) -> list[Function]:
    common = template.get("Globals", {}).get("Function", {})
    return [_function(name, resource["Properties"], common) for name, resource in _of_type(template, "Function")]


def nested(template: Mapping[str, Any]) -> list[Path]:
    """The templates of the nested stacks."""
    return [ROOT / resource["Properties"]["Location"] for _, resource in _of_type(template, "Application")]


def _of_type(template: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    resources = template["Resources"].items()
    return [(name, resource) for name, resource in resources if resource["Type"] == f"AWS::Serverless::{kind}"]


def _function(name: str, own: Mapping[str, Any], common: Mapping[str, Any]) -> Function:
    merged = {**common, **own}
    return Function(
        name=name,
        handler=merged["Handler"],
        runtime=merged["Runtime"],
        architecture=merged["Architectures"][0],
        timeout=merged["Timeout"],
        environment={**_variables(common), **_variables(own)},
    )


def _variables(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    variables: Mapping[str, Any] = properties.get("Environment", {}).get("Variables", {})
    return variables


class _Loader(yaml.SafeLoader):
    pass


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)
