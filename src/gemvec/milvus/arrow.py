"""Arrow in a command that spares memory: `leave_out_pandas`."""

from __future__ import annotations

import sys
from typing import Any

from gemvec.memory import is_sparing


class _Without:
    """Finds no pandas, so that it counts as not installed."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def leave_out_pandas() -> None:
    """In a command that spares memory, let Arrow go without pandas, which it loads to look at any list: 40 MiB.

    Whoever imports pandas gets it; only Arrow, which looks for it once, has none then.
    """
    if not is_sparing() or "pandas" in sys.modules:
        return
    import pyarrow as pa

    arrow: Any = pa
    finder: Any = _Without()
    sys.meta_path.insert(0, finder)
    try:
        arrow.array([])
    finally:
        sys.meta_path.remove(finder)
