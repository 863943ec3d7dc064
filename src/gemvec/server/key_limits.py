"""The limits and the weight of one API key: those that its operator set, and the server's own limits for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from gemvec.errors import InvalidRequest
from gemvec.files.limits import OwnerLimits
from gemvec.server.quota import DAY_SECONDS, MINUTE_SECONDS, Quota, per_key

_MAX_LIMIT = 2**63 - 1  # a database's largest integer
# Others wait for as many chunks at most, so that no key starves.
_MAX_WEIGHT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What one API key may use; None wherever the server's own limit for every key holds.

    The fields have the names of their columns in the database and, from `max_open_uploads` on, of settings. The server
    has no limit of its own for a rate, except with `--limits google`, whose rates hold beside those of a key.

    Attributes:
        requests_per_minute: texts that it may embed in a minute.
        tokens_per_minute: tokens that it may embed in a minute.
        requests_per_day: texts that it may embed in a day.
        tokens_per_day: tokens that it may embed in a day.
        max_open_uploads: uploads that it may have begun and not finished.
        max_open_batches: batches that it may have that have not ended.
        max_stored_bytes: size of all that it may keep: files, and the inputs and results of batches.
        max_priority: the highest that it may give its batches.
        weight: how many chunks of its batches are begun in each of its turns; None for 1.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    max_open_uploads: int | None = None
    max_open_batches: int | None = None
    max_stored_bytes: int | None = None
    max_priority: int | None = None
    weight: int | None = None

    def check(self) -> None:
        """Refuse what cannot be a limit.

        Raises:
            InvalidRequest: a value is outside the range of `bounds_of`.
        """
        for name, value in self.values().items():
            lowest, highest = bounds_of(name)
            if value is not None and not lowest <= value <= highest:
                is_below = highest == _MAX_LIMIT and value < lowest  # nobody has reached for the end of the range
                bounds = f"at least {lowest}" if is_below else f"{lowest} to {highest}"
                raise InvalidRequest(f"{name} is {value}; it must be {bounds}.", field=name)

    def values(self) -> dict[str, int | None]:
        """Return every limit by its name."""
        return asdict(self)

    def quotas(self) -> Iterable[Quota]:
        """Yield the limits on what is embedded in a time."""
        if self.requests_per_minute is not None:
            yield per_key("requests", self.requests_per_minute, MINUTE_SECONDS)
        if self.tokens_per_minute is not None:
            yield per_key("tokens", self.tokens_per_minute, MINUTE_SECONDS)
        if self.requests_per_day is not None:
            yield per_key("requests", self.requests_per_day, DAY_SECONDS)
        if self.tokens_per_day is not None:
            yield per_key("tokens", self.tokens_per_day, DAY_SECONDS)

    def over(self, usual: OwnerLimits) -> OwnerLimits:
        """Return what the key may have at a time, where `usual` is what the server lets every key have."""
        return OwnerLimits(
            open_uploads=_first(self.max_open_uploads, usual.open_uploads),
            open_batches=_first(self.max_open_batches, usual.open_batches),
            stored_bytes=_first(self.max_stored_bytes, usual.stored_bytes),
            priority=_first(self.max_priority, usual.priority),
        )


KEY_LIMITS = tuple(each.name for each in fields(KeyLimits))


def bounds_of(name: str) -> tuple[int, int]:
    """Return the lowest and the highest value of a limit."""
    if name == "max_priority":
        return -(2**63), _MAX_LIMIT
    return 1, _MAX_WEIGHT if name == "weight" else _MAX_LIMIT


def _first(own: int | None, usual: int) -> int:
    return usual if own is None else own
