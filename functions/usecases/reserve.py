"""Stores a verification before anything is sent: the write is the claim that makes every repeat harmless."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from functions.domain.binding import mark_of
from functions.domain.code import derive_code, digest_code
from functions.domain.errors import Conflict, CountryBlocked
from functions.domain.frozen import frozen
from functions.domain.guard.attempt import Address
from functions.domain.identity import NONCE_BYTES, VerificationId, block_of, nonce_from, number_key, number_key_before
from functions.domain.message import locales_of
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.routing import Via, choose
from functions.domain.sending import Code, Start, first, renew, resend, resends
from functions.domain.sensitive import Sensitive
from functions.domain.service import OnResend, Service
from functions.domain.verification import Record, Verification
from functions.usecases.advance import TRIES
from functions.usecases.ports import Clock, Entropy, Keys, KeysUnavailable, StoreUnavailable, VerificationStore


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a caller, or a message of the queue, asks for: a code for this number."""

    to: PhoneNumber
    service: Service
    request: str
    """Digest of the request: the same one is carried out once."""
    code: Sensitive | None = None
    """The caller's own."""
    binding: Sensitive | None = None
    locale: str | None = None
    domain: str | None = None
    app_hash: str | None = None
    queued: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    ip: Address | None = field(default=None, repr=False)
    """The end user's."""
    trusted: bool = False
    challenge: Sensitive | None = None
    announced: VerificationId | None = None
    """The id that a new verification is to have: the caller was told it before anything was stored."""

    @cached_property
    def plan(self) -> tuple[Via, ...]:
        """The providers to try, in this order. Raises CountryBlocked."""
        plan = choose(
            self.service.routes,
            region=self.to.region,
            locales=locales_of(self.service, self.to, self.locale),
            seed=self.request,
        )
        if not plan:
            raise CountryBlocked("no route of this service leads to the number's country")
        return plan


@frozen()
class Reservation:
    record: Record
    code: Sensitive | None
    """To be sent; None where `record` tells that this request was here before."""


@part
class Reserve:
    """Raises CountryBlocked, RateLimited, Conflict, StoreUnavailable or KeysUnavailable; nothing is stored then."""

    store: VerificationStore
    keys: Keys
    entropy: Entropy
    clock: Clock

    async def __call__(self, wish: Wish) -> Reservation:
        """Tries the number as a new one first: most are, and then this is the only write."""
        start = await self._start(wish)
        now = self.clock()
        record = await self._under_another_key(start, wish, now)
        if record is not None and record.has_request(wish.request, now):
            return Reservation(record, None)
        for _ in range(TRIES):
            following, code = await self._step(record, start, wish, now)
            record = await self.store.put(following, now=now)
            if record is None:
                return Reservation(following, code)
            if record.has_request(wish.request, now):
                return Reservation(record, None)
        raise StoreUnavailable("others keep changing this record")

    async def _start(self, wish: Wish) -> Start:
        keys = await self.keys.keyring()
        key = number_key(keys, wish.service.name, wish.to.e164)
        return Start(
            request=wish.request,
            new_id=self._new_id(wish, keys.current, key),
            region=wish.to.region,
            block=block_of(keys, wish.to.e164),
            provider=wish.plan[0].provider,
            queued=wish.queued,
            trusted=wish.trusted,
            metadata=wish.metadata,
        )

    def _new_id(self, wish: Wish, kid: str, key: str) -> VerificationId:
        """The announced one, if keys were not changed since: then the caller learns of another."""
        announced = wish.announced
        if announced is not None and (announced.kid, announced.key) == (kid, key):
            return announced
        return VerificationId(kid, key, nonce_from(self.entropy(NONCE_BYTES)))

    async def _under_another_key(self, start: Start, wish: Wish, now: int) -> Record | None:
        """While the index key changes: the number's record under the new key, else the one under the key before.

        A live verification is resent there. The history of one that is over goes on under the new key (`renew`).
        """
        before = number_key_before(await self.keys.keyring(), wish.service.name, wish.to.e164)
        if before is None:
            return None
        found = await asyncio.gather(self.store.get(start.new_id.key), self.store.get(before))
        return next((record for record in found if record is not None and now < record.forget_at), None)

    async def _step(self, record: Record | None, start: Start, wish: Wish, now: int) -> tuple[Record, Sensitive]:
        if record is not None and resends(record, now):
            generation = await self._next_generation(record.verification, wish)
            code, stored = await self._code(record.verification.id, wish, generation)
            return resend(record, start, stored, wish.service, now), code
        code, stored = await self._code(start.new_id, wish, _first_generation(record, start))
        if record is None:
            return first(start, stored, wish.service, now), code
        return renew(record, start, stored, wish.service, now), code

    async def _code(self, verification_id: VerificationId, wish: Wish, generation: int) -> tuple[Sensitive, Code]:
        pepper = await pepper_of(self.keys, verification_id)
        code = wish.code or derive_code(pepper, str(verification_id), generation, wish.service.code_length)
        stored = Code(
            digest=digest_code(pepper, str(verification_id), code, wish.binding),
            own=wish.code is not None,
            generation=generation,
            binding=mark_of(pepper, str(verification_id), wish.binding),
        )
        return code, stored

    async def _next_generation(self, live: Verification, wish: Wish) -> int:
        pepper = await pepper_of(self.keys, live.id)
        return _next_generation(live, wish, bound_anew=mark_of(pepper, str(live.id), wish.binding) != live.binding)


async def pepper_of(keys: Keys, verification_id: VerificationId) -> bytes:
    """Raises KeysUnavailable where a live verification's pepper was taken away too early."""
    pepper = await keys.pepper(verification_id.kid)
    if pepper is None:
        raise KeysUnavailable(f"there is no pepper {verification_id.kid}, and codes made with it are still alive")
    return pepper


async def code_again(keys: Keys, live: Verification, service: Service) -> Sensitive:
    """The code of a verification that was stored earlier. Raises Conflict where its caller brought the code."""
    if live.own_code:
        raise Conflict("this verification was started with a code of the caller's own")
    pepper = await pepper_of(keys, live.id)
    return derive_code(pepper, str(live.id), live.generation, service.code_length)


def _first_generation(record: Record | None, start: Start) -> int:
    """An announced id may have had a code that certainly never went out. It does not come again: no guess is kept."""
    before = None if record is None else record.verification
    return before.generation + 1 if before is not None and before.id == start.new_id else 1


def _next_generation(live: Verification, wish: Wish, *, bound_anew: bool) -> int:
    """Raises Conflict. No code goes out for two bindings: the SMS that shows one amount must not confirm another."""
    if wish.code is not None:
        if bound_anew:
            raise Conflict("the code that was sent is tied to another binding: cancel this verification first")
        return live.generation
    if live.own_code:
        raise Conflict("this verification was started with a code of the caller's own: send it along again")
    return live.generation + (bound_anew or wish.service.on_resend is OnResend.NEW)
