"""The width of a micro-batch: the tokens of its longest text, rounded up to one of a few widths.

OpenVINO compiles kernels for every shape, at 3 ms and half a MiB each. A few widths cost 4 % more padding; with every
possible length, memory would grow by hundreds of MiB and short queries would take twice as long.
"""

from __future__ import annotations

# Steps grow with the width: 4 up to 32 tokens, 8 up to 128, 16 beyond.
_STEPS = ((32, 4), (128, 8))
_MAX_STEP = 16


def padded_width(tokens: int) -> int:
    """Return the width of a micro-batch whose longest text has `tokens` tokens.

    >>> [padded_width(tokens) for tokens in (3, 33, 129, 250)]
    [4, 40, 144, 256]
    """
    step = next((step for end, step in _STEPS if tokens <= end), _MAX_STEP)
    return -(-tokens // step) * step
