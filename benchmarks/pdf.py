"""How fast PDFium reads PDF files, and how much of them, beside pypdf.

    pip install pypdf
    python benchmarks/pdf.py FOLDER --corpus NAME [--output benchmarks/results/pdf.json]

Both read each file of the folder. Counted are files that give text, the letters of all pages after folding (so that a
ligature is not fewer letters), and processor seconds. gemvec leaves out running heads, which pypdf keeps.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from machine import describe_run

from gemvec.documents.pdf import read_pages
from gemvec.documents.text import fold

PACKAGES = ("gemvec", "pypdfium2", "pypdf")


def read_with_gemvec(data: bytes) -> str:
    """Return the text as `gemvec index` reads it."""
    return "\n".join(read_pages(data)[0])


def read_with_pypdf(data: bytes) -> str:
    """Return the text as pypdf reads it."""
    from pypdf import PdfReader

    return fold("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages))


READERS: dict[str, Callable[[bytes], str]] = {"gemvec (PDFium)": read_with_gemvec, "pypdf": read_with_pypdf}


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Return what each reader makes of the files."""
    totals = {name: {"files_with_text": 0, "letters": 0, "cpu_seconds": 0.0} for name in READERS}
    for path in sorted(folder.glob("*.pdf")):
        data = path.read_bytes()
        for name, read in READERS.items():
            started = time.process_time()
            try:
                letters = sum(map(str.isalpha, read(data)))
            except Exception:  # noqa: BLE001 # a damaged file fails anywhere
                letters = 0
            total = totals[name]
            total["cpu_seconds"] += time.process_time() - started
            total["letters"] += letters
            total["files_with_text"] += letters > 0
    return {name: {key: round(value, 2) for key, value in total.items()} for name, total in totals.items()}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", required=True, help="what the folder holds: repository, commit, folder")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    files = len(list(options.folder.glob("*.pdf")))
    result = {**describe_run(PACKAGES), "corpus": options.corpus, "files": files, "readers": measure(options.folder)}
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
