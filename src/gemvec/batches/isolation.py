"""A chunk in flight at two deaths of the server: run alone, then in halves, until the line that kills is found.

What is about to be tried is recorded before it is tried. So a start that finds such a record knows what the server died
of: several lines are tried in halves from then on, and a single line is never tried again and becomes an error at its
place. Finding one line among 256 takes eight more deaths, and the other lines are still computed.
"""

from __future__ import annotations

import msgspec

# A chunk that was in flight at this many deaths of the server is suspected of having caused them.
SUSPECT_CRASHES = 2


class Isolation(msgspec.Struct, frozen=True):
    """How far the search in a suspected chunk has come.

    Attributes:
        ranges: (first line, number of lines) of what is tried together, in order; killers are in none of them.
        killers: lines that are never tried again.
        trying: index of the range under way, or None.
    """

    ranges: tuple[tuple[int, int], ...]
    killers: tuple[int, ...] = ()
    trying: int | None = None

    def at_rest(self) -> Isolation:
        """Return the record of trying nothing now."""
        return Isolation(self.ranges, self.killers)

    def begin(self, index: int) -> Isolation:
        """Return the record of trying one range."""
        return Isolation(self.ranges, self.killers, index)

    def after_crash(self) -> Isolation:
        """Return what to do after a death: the range that was tried is halved, or is a killer."""
        if self.trying is None:
            return self
        before, (first, count), after = (
            self.ranges[: self.trying],
            self.ranges[self.trying],
            self.ranges[self.trying + 1 :],
        )
        if count == 1:
            return Isolation((*before, *after), (*self.killers, first))
        half = count // 2
        return Isolation((*before, (first, half), (first + half, count - half), *after), self.killers)


_decode = msgspec.json.Decoder(Isolation).decode


def format_isolation(isolation: Isolation) -> str:
    """Return the text that the database keeps."""
    return msgspec.json.encode(isolation).decode()


def parse_isolation(text: str) -> Isolation:
    """Read the text that `format_isolation` wrote."""
    return _decode(text)
