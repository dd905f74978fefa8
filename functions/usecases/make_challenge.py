"""Makes a challenge for one number of one service."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.errors import InvalidRequest
from functions.domain.guard.policy import ChallengeKind
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.service import Service
from functions.usecases.hook_ports import ChallengeMaker
from functions.usecases.ports import Clock


@part
class MakeChallenge:
    """Raises InvalidRequest, KeysUnavailable."""

    services: Mapping[str, Service]
    maker: ChallengeMaker
    clock: Clock

    async def __call__(self, to: PhoneNumber, service_name: str) -> Mapping[str, object]:
        """As ALTCHA's widget takes it."""
        service = self.services.get(service_name)
        if service is None:
            raise InvalidRequest("there is no such service")
        if service.guard.challenge_kind is not ChallengeKind.ALTCHA:
            raise InvalidRequest("this service's challenges come from its own verifier")
        return await self.maker.make(service.name, to, self.clock())
