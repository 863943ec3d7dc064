"""How much each extra installs: bytes on disk, and the packages that weigh most.

python benchmarks/installs.py [--output benchmarks/results/installs.json] [--extra NAME ...]

Installs every extra, or those named, into a folder of its own, from a package index. Byte code, which Python writes at
the first import,
does not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import Distribution, distributions
from pathlib import Path

from machine import describe_run

ROOT = Path(__file__).parent.parent
EXTRAS = (
    *("", "server", "milvus", "all", "tokens", "documents", "code", "mcp", "langchain", "llama-index", "haystack"),
    *("socks", "postgresql", "objects", "tracing"),
)
SHOWN_PACKAGES = 6


def main() -> None:
    """Install each extra, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "installs.json")
    parser.add_argument("--extra", action="append", choices=EXTRAS)
    options = parser.parse_args()
    installs = {extra or "light": measure(extra) for extra in options.extra or EXTRAS}
    options.output.write_text(json.dumps({**describe_run(), "installs": installs}, indent=2) + "\n")


def measure(extra: str) -> dict[str, object]:
    """Return what one extra installs; "" is the light client."""
    with tempfile.TemporaryDirectory() as folder:
        what = f"{ROOT}[{extra}]" if extra else str(ROOT)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", folder, what]
        subprocess.run(command, check=True)
        sizes = Counter({str(each.metadata["Name"]): size_bytes(each) for each in distributions(path=[folder])})
        return {
            "packages": len(sizes),
            "bytes": sum(each.stat().st_size for each in Path(folder).rglob("*") if each.is_file()),
            "heaviest": dict(sizes.most_common(SHOWN_PACKAGES)),
        }


def size_bytes(package: Distribution) -> int:
    """Return the bytes of a package's files."""
    paths = [Path(str(package.locate_file(each))) for each in package.files or ()]
    return sum(each.stat().st_size for each in paths if each.is_file())


if __name__ == "__main__":
    main()
