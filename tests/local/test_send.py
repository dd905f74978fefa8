"""./salvo send through the whole local system: what the phones have when the command was killed again and again."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.local import killed_campaign


# A message whose write the table does not answer in time, on a machine that is too busy, comes again after the bulk
# queue's 360 seconds. Most runs take half a minute.
@pytest.mark.timeout(600)
async def test_a_campaign_that_is_killed_ten_times_sends_each_number_one_sms(tmp_path: Path) -> None:
    found = await killed_campaign.run(tmp_path, numbers=2_000, kills=10, rate=125)

    assert (found.messages, found.phones, found.most) == (2_000, 2_000, 1)
    assert found.codes == [-signal.SIGKILL] * found.kills + [0]
    assert found.kills >= 8  # a moment near the end may find the command gone
    assert (found.results, found.lines) == (Counter(sent=2_000), 2_000)
