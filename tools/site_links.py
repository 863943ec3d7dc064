"""What the documentation site needs beyond the pages: files of the project that pages link to, as a hook of MkDocs.

Pages are read in the repository too, where `../benchmarks/results/engine.json` is a link that works. In the site such a
file lies in `project/`, and links lead there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
SHOWN = sorted(ROOT.glob("benchmarks/results/*.json"))

_OUTSIDE = re.compile(r"\[(?P<text>[^]]+)\]\((?:\.\./)+(?P<path>(?:benchmarks|examples)[^)#]*)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages link to."""
    for path in SHOWN:
        name = f"project/{path.relative_to(ROOT)}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of the pages' folder to the copies; what has no copy is named and not linked."""
    up = "../" * page.file.src_uri.count("/")

    def lead(found: re.Match[str]) -> str:
        text, path = found["text"], found["path"]
        return f"[{text}]({up}project/{path})" if ROOT / path in SHOWN else text

    return _OUTSIDE.sub(lead, markdown)
