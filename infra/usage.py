"""How much of each AWS service a month of verifications uses: one small function for each thing that AWS counts.

Every number here is counted, measured or assumed, and says which. Where it had to be assumed, it is on the dear side.
"""

from __future__ import annotations

from infra.load import BULK_BATCH, Load

MONTH = 730 * 3600
"""Seconds."""

WHOLE_CPU = 1769
"""Megabytes at which AWS gives a function one whole processor; less memory is that much less of it."""
ROUND_TRIP = 0.005
"""Seconds to DynamoDB or SQS and back. Assumed: AWS promises single-digit milliseconds."""
INIT = 1.0
"""Seconds of a cold start that are billed. Assumed, rounded up; docs/benchmarks.md has the measured ones."""

# Seconds of processor for each invocation. Measured with the functions in processes of their own, an embedded AWS and a
# gateway without latency, on CPython 3.11: 2.3, 2.6, 1.7, 2.8 ms; and 1.6 ms for a batch, 0.6 for each message.
START_CPU, QUEUE_CPU, CHECK_CPU, RECEIPT_CPU = 0.003, 0.003, 0.002, 0.003
BATCH_CPU, MESSAGE_CPU = 0.002, 0.0006
BULK_REQUEST_CPU = 1.0
"""A thousand numbers are looked at, and put on the queue in a hundred calls. Assumed."""

# Bytes of log, measured on the same run; tests/infra/test_cost.py measures them again. Metrics are a line for each
# invocation; those of a check and of a receipt are counted with its line.
SEND_LINE, METRICS_LINE, CHECK_LINE, RECEIPT_LINE = 880, 500, 460, 530
ACCESS_LINE = 260
"""What the HTTP API writes for each request."""
JOB_LINE = 350
"""What the sender says of a message that it looked at again, or told its provider of. Assumed."""
PLATFORM_LINES = 300
"""START, END and REPORT, which Lambda writes for each invocation."""

ANSWER = 1000
"""Bytes of an API answer with its headers. Measured: some 600 without TLS."""
SUBMISSION = 2000
"""Bytes that go to the gateway for a message. Assumed: the form, its headers, and now and then a TLS handshake."""

KEYS_FRESH_FOR, CALLERS_FRESH_FOR = 300, 60
"""Seconds between two look-ups of a secret by a sandbox that is in use."""
PEAK = 4
"""How many times the average load the sandboxes are kept for. Assumed."""
IDLE_POLLERS, LONG_POLL, QUEUES = 5, 20, 2
"""Lambda asks an empty queue with five pollers, each for up to 20 seconds at a time: the queue and the bulk queue."""
TEN = 10
"""Messages of one request to SQS."""
FUNCTIONS = 4

SECRETS = 2
"""Keys and callers. Each provider has one of its own."""
PROVIDER_METRICS, STACK_METRICS = 7, 11
"""By stack, and those of a provider by stack and provider once more."""
FAILOVER_METRICS = 2
"""As those of a provider, where a route names two of them."""
COUNTRY_METRICS, RULE_METRICS = 2, 3
"""Of one country, and of rules that deny now and then. AWS counts them in the hours in which something is told."""
ALARM_METRICS = 28
"""What the alarms of infra/monitoring.yaml look at: AWS counts the metrics of an alarm, not the alarms."""
GUARD_WRITES, GUARD_READS, CONVERSION_WRITES = 3, 2, 2
"""Units: of a start that names an address, for address, block and country; the block's last two hours, and what
is read for many starts; and of an approval, for block and country. tests/contract/test_write_units.py counts writes."""
BATCH_WRITES, PROGRESS_WRITES = 2, 2
"""Units: of a batch's item, when it is begun and when all of it is queued; and of it with what an invocation adds: a
thousand places are 4 kB at the end. Assumed."""
KEY_USERS = 7
"""Table, three queues, logs, topic: each renews its data key every five minutes. Assumed."""


def http_requests(load: Load) -> float:
    return api_invocations(load) + load.all_receipts


def api_invocations(load: Load) -> float:
    return load.sends_over_http + load.queued_starts + load.bulk_requests + load.all_checks


def sender_invocations(load: Load) -> float:
    return load.queued_starts + load.batches + load.later_jobs


def invocations(load: Load) -> float:
    return api_invocations(load) + sender_invocations(load) + load.all_receipts


def waiting(load: Load) -> float:
    """GB-seconds in which an invocation does nothing but wait for the gateway: a batch waits once."""
    waits = load.sends_over_http + load.queued_starts + load.batches + load.sent_again + load.approvals_told
    return waits * load.gateway_latency * load.gigabytes


def working(load: Load) -> float:
    """GB-seconds of everything else: the processor's part, and the ways to DynamoDB and SQS."""
    return (_processor(load) / _processor_share(load) + _round_trips(load) * ROUND_TRIP) * load.gigabytes


def starting(load: Load) -> float:
    """GB-seconds of cold starts. A snapshot is paid for by its size instead."""
    return 0.0 if load.snap_start else invocations(load) * load.cold_starts * INIT * load.gigabytes


def write_units(load: Load) -> float:
    """As counted by tests/contract/test_write_units.py; docs/architecture.md says what costs more than one.

    A resend's first try finds the record in its way, so it is two; a returning number in a batch is three.
    """
    fresh, back = 1 - load.returning, load.returning
    first = load.verifications * load.direct * (fresh + 2 * back)
    queued = load.queued_starts * (fresh + 2 * back + 1)
    batched = load.starts_in_batches * (fresh + 3 * back)
    bulk = load.bulk_requests * BATCH_WRITES + load.bulk_starts / BULK_BATCH * PROGRESS_WRITES
    keys = 2 * load.idempotent * (load.sends_over_http + load.queued_starts)
    starts = first + queued + batched + bulk + 2 * load.verifications * load.resends + keys
    checks = load.all_checks + load.approvals * CONVERSION_WRITES * load.guard
    return (
        starts + _guarded(load) * GUARD_WRITES + checks + load.all_receipts * (1 + load.confirmed) + _of_providers(load)
    )


def _guarded(load: Load) -> float:
    """Starts and resends that the guard is asked of."""
    return (load.sends_over_http + load.queued_starts + load.starts_in_batches) * load.guard


def _of_providers(load: Load) -> float:
    """Write units: a place at the account's rate, the id that an approval is told by, a claim to send once more."""
    return load.messages * (load.rated + load.learning) + load.sent_again


def read_units(load: Load) -> float:
    looks = load.queued_starts + load.all_receipts + load.looked_at_again
    return looks + _guarded(load) * GUARD_READS + circuit_looks(load) / 2


def circuit_looks(load: Load) -> float:
    """Reads that need not be consistent: half a unit. One a second and sandbox serves all; counted is one a send."""
    return (load.sends_over_http + load.queued_starts + load.batches + load.sent_again) * (load.providers > 1)


def queue_requests(load: Load) -> float:
    """Sent, received and deleted, ten messages at a time where there are as many."""
    own = load.batched_starts / load.batch_size
    return 3 * (load.queued_starts + own + load.bulk_starts / TEN + load.later_jobs)


def idle_polls(_load: Load) -> float:
    return QUEUES * IDLE_POLLERS * MONTH / LONG_POLL


def log_gigabytes(load: Load) -> float:
    sends = load.messages * SEND_LINE + (load.sends_over_http + sender_invocations(load)) * METRICS_LINE
    others = load.all_checks * CHECK_LINE + load.all_receipts * RECEIPT_LINE + load.later_jobs * JOB_LINE
    return (sends + others + invocations(load) * PLATFORM_LINES + http_requests(load) * ACCESS_LINE) / 1e9


def log_gigabyte_months(load: Load) -> float:
    """Not counting that AWS compresses them."""
    return log_gigabytes(load) * load.log_retention / 30


def gigabytes_out(load: Load) -> float:
    return (http_requests(load) * ANSWER + load.messages * SUBMISSION) / 1e9


def secrets(load: Load) -> float:
    return SECRETS + load.providers


def secret_calls(load: Load) -> float:
    """Every sandbox in use looks up keys and credentials, the API's the callers too; one of each is always in use."""
    kept = (1 + load.providers) * MONTH / KEYS_FRESH_FOR
    api = _sandboxes(load, api_invocations(load)) * (kept + MONTH / CALLERS_FRESH_FOR)
    sender = _sandboxes(load, sender_invocations(load)) * kept
    return api + sender + load.receipts * load.providers * MONTH / KEYS_FRESH_FOR


def metrics(load: Load) -> float:
    of_a_provider = PROVIDER_METRICS + FAILOVER_METRICS * (load.providers > 1)
    return (1 + load.providers) * of_a_provider + STACK_METRICS + COUNTRY_METRICS + RULE_METRICS


def alarm_metrics(_load: Load) -> float:
    return ALARM_METRICS


def dashboards(_load: Load) -> float:
    return 1


def kms_keys(load: Load) -> float:
    return 1.0 * load.kms


def kms_calls(load: Load) -> float:
    return (secret_calls(load) + KEY_USERS * MONTH / KEYS_FRESH_FOR) * load.kms


def traces(load: Load) -> float:
    """X-Ray takes the first request of a second, and one in twenty of the others."""
    every = invocations(load)
    return min(every, MONTH + (every - MONTH) / 20) * load.tracing


def snapshot_gigabyte_seconds(load: Load) -> float:
    """One version of each function. Each older one that is kept costs the same again."""
    return FUNCTIONS * load.gigabytes * MONTH * load.snap_start


def gigabytes_restored(load: Load) -> float:
    return invocations(load) * load.cold_starts * load.gigabytes * load.snap_start


def _processor(load: Load) -> float:
    return (
        load.sends_over_http * START_CPU
        + load.queued_starts * (QUEUE_CPU + BATCH_CPU + MESSAGE_CPU)
        + load.batches * BATCH_CPU
        + load.starts_in_batches * MESSAGE_CPU
        + load.bulk_requests * BULK_REQUEST_CPU
        + load.later_jobs * (QUEUE_CPU + BATCH_CPU + MESSAGE_CPU)
        + load.all_checks * CHECK_CPU
        + load.all_receipts * RECEIPT_CPU
    )


def _processor_share(load: Load) -> float:
    return min(1.0, load.memory / WHOLE_CPU)


def _round_trips(load: Load) -> float:
    """One to start and one to check; two for a receipt, for queueing, and for what was queued."""
    one_each = load.sends_over_http + load.all_checks + load.batches + circuit_looks(load)
    return one_each + 2 * load.all_receipts + 4 * load.queued_starts + 2 * load.later_jobs + _of_providers(load)


def _sandboxes(load: Load, count: float) -> float:
    """In use at once at a peak; an hour's quiet is not subtracted."""
    return max(1.0, PEAK * count * load.gateway_latency / MONTH) if count else 0.0
