"""What ./salvo up says on its standard output when everything runs: one line of JSON, for people and for programs."""

from __future__ import annotations

import json
import sys

from infra.environments import say

LOCAL_KEY = "local"
"""The API key of the local system."""


def announce(*, url: str, simulator: str, aws_endpoint: str, table: str, queue_url: str, **more: str) -> None:
    """`url` is that of the API and of the phones' inbox, `simulator` that of the vendors and their controls."""
    ready = {
        "api": url,
        "inbox": f"{url}/inbox.json",
        "key": LOCAL_KEY,
        "simulator": simulator,
        "aws_endpoint": aws_endpoint,
        "table": table,
        "queue_url": queue_url,
        **more,
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    say(f"ready: {url} (Ctrl-C stops everything)")
