"""How long to keep trying a server: `RetryPolicy`."""

from __future__ import annotations

from dataclasses import dataclass

from gemvec.errors import BadSetting

ATTEMPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to keep trying.

    Attributes:
        timeout_seconds: time limit of one call with all its attempts; it starts again if the server asks to wait and
            has accepted another call meanwhile.
        attempt_seconds: time limit of one attempt.
        unreachable_seconds: time limit while nothing listens at the address: a server restarts in seconds, a wrong
            address stays wrong.
        first_delay_seconds: bound of the first wait; it doubles with each attempt.
        max_delay_seconds: bound of every wait that the server did not ask for.
    """

    timeout_seconds: float = 300.0
    attempt_seconds: float = ATTEMPT_SECONDS
    unreachable_seconds: float = 15.0
    first_delay_seconds: float = 0.5
    max_delay_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.timeout_seconds > 0:
            raise BadSetting(f"timeout_seconds has value {self.timeout_seconds!r}: must be more than 0.")
