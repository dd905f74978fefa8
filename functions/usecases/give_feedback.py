"""Tells a provider that a code which it sent was approved. It learns from that which of its ways arrive."""

from __future__ import annotations

from collections.abc import Mapping

from functions.domain.part import part
from functions.usecases.disposition import Disposition
from functions.usecases.ports import FeedbackJob, Journal, LearningProvider


@part
class GiveFeedback:
    providers: Mapping[str, LearningProvider]
    journal: Journal

    async def __call__(self, job: FeedbackJob) -> Disposition:
        """Told once: a provider that did not take note of one message learns from the others."""
        provider = self.providers.get(job.provider)
        taken = provider is not None and await provider.approved(job.message_id)
        self.journal("feedback", provider=job.provider, outcome="told" if taken else "not_told")
        return Disposition.DONE
