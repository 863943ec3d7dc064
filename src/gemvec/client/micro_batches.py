"""Many texts in few calls: divided into micro-batches by count, tokens and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gemvec.errors import BadSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatchLimits:
    """How large one call may be.

    Attributes:
        max_texts: Google refuses more than 100.
        max_tokens: estimated tokens. Keeps one call within the quota per minute of Google's free tier (30,000), and a
            slow server's answer within seconds.
        max_bytes: bytes of the requests. Google refuses bodies beyond 4 MiB; the rest is for the JSON around the
            requests.
    """

    max_texts: int = 100
    max_tokens: int = 20_000
    max_bytes: int = 4 * 2**20 - 1024


def estimate_tokens(text_bytes: int) -> int:
    """Estimate the number of tokens in a text of this many UTF-8 bytes, rather too high than too low.

    English has about four bytes per token, Chinese three.
    """
    return -(-text_bytes // 3)


def split(byte_counts: Sequence[int], token_counts: Sequence[int], limits: MicroBatchLimits) -> list[range]:
    """Divide a sequence of texts into runs within `limits`; a text that is too large by itself is a run of its own.

    Args:
        byte_counts: bytes of each text's request, including the comma after it.
        token_counts: estimated tokens of each text.
        limits: how large one run may be.

    >>> split([10, 10, 10], [5, 5, 5], MicroBatchLimits(max_texts=2))
    [range(0, 2), range(2, 3)]
    """
    runs: list[range] = []
    start = total_bytes = total_tokens = 0
    for index, (size, tokens) in enumerate(zip(byte_counts, token_counts, strict=True)):
        total_bytes += size
        total_tokens += tokens
        is_full = index - start >= limits.max_texts
        if index > start and (is_full or total_bytes > limits.max_bytes or total_tokens > limits.max_tokens):
            runs.append(range(start, index))
            start, total_bytes, total_tokens = index, size, tokens
    if byte_counts:
        runs.append(range(start, len(byte_counts)))
    return runs


def check_concurrency(max_concurrency: int) -> None:
    """Refuse a limit below 1, with which nothing would ever be sent.

    Raises:
        BadSetting: it is less than 1.
    """
    if max_concurrency < 1:
        raise BadSetting(f"max_concurrency has value {max_concurrency!r}: must be at least 1.")
