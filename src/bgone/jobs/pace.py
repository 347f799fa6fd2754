"""How long things take of which no setting speaks: leases, looks, sweeps, the schedule of webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field

from bgone.jobs.deliveries import Rules

LEASE_S = 30.0
CLOSE_S = 30.0
TIDY_S = 10.0
SWEEP_S = 300.0
TRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a server's work behind its requests; tests run another one.

    Attributes:
        lease_s: After so long without a sign of life another worker takes a job over.
        close_s: After so long somebody else tells of a job's end and tidies up behind it.
        tidy_s: How often ends are looked for that nobody told of.
        sweep_s: How often what is too old is looked for.
        rules: Of webhooks: how often and how long.
        try_s: For one try of a webhook.
    """

    lease_s: float = LEASE_S
    close_s: float = CLOSE_S
    tidy_s: float = TIDY_S
    sweep_s: float = SWEEP_S
    rules: Rules = field(default_factory=Rules)
    try_s: float = TRY_S
