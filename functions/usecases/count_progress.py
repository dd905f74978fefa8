"""Counts what became of batches' items: one write for an invocation and batch, however many codes it sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from functions.domain.batch import Notes
from functions.domain.part import part
from functions.usecases.ports import BatchStore, Clock, Journal, StoreUnavailable


@part
class CountProgress:
    batches: BatchStore
    clock: Clock
    journal: Journal

    async def __call__(self, notes: Mapping[str, Notes], seconds: float) -> frozenset[str]:
        """The batches that could not be counted within these seconds: their notes are to be made again."""
        written = await asyncio.gather(*(self._write(name, told, seconds) for name, told in notes.items()))
        return frozenset(name for name, done in zip(notes, written, strict=True) if not done)

    async def _write(self, name: str, notes: Notes, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.batches.note(name, notes, now=self.clock())
        except (StoreUnavailable, TimeoutError) as error:
            self.journal("uncounted", batch=name, reason=str(error) or "no_time")
            return False
        return True
