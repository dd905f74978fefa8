"""Callers that API Gateway has told apart itself, by an IAM or a JWT authorizer in the place of our keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from functions.domain.caller import Caller, Scope
from functions.web.problems import Unauthorized


class GatewayAuthorizer:
    async def __call__(self, request: Request) -> Caller:
        """Reads what API Gateway puts into the event, which no client can. Raises Unauthorized where it put nothing."""
        found = request.scope.get("aws.event", {}).get("requestContext", {}).get("authorizer") or {}
        if iam := found.get("iam"):
            return Caller(name=iam["userArn"])  # what it may do is in its own policy, as execute-api:Invoke by route
        claims = found.get("jwt", {}).get("claims") or {}
        if name := claims.get("sub") or claims.get("client_id"):
            return Caller(name=name, scopes=_scopes(claims))
        raise Unauthorized("this call needs a caller that API Gateway knows")


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Ours among those of the token. Issuers put a resource server's name before them: salvo/check."""
    named = {scope.rpartition("/")[2] for scope in claims.get("scope", "").split()}
    return frozenset(scope for scope in Scope if scope.value in named)
