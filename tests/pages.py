"""Code blocks of Markdown pages, and how they are run: Python in one namespace a page, `$` lines in a shell.

A ```text block directly behind a ```python block is that block's output, to the letter. Output in ```console blocks is
an illustration: it holds times and sizes. A block that cannot be run says why in a comment above it:
`<!-- not run: it needs a key of Google's -->`.
"""

import contextlib
import io
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ADDRESS = "http://127.0.0.1:8000"

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?```(?P<language>\w*)\n(?P<source>.*?)^```", re.DOTALL | re.MULTILINE
)
# Installing is what CI does; the tests of serving start servers by themselves; the demo has a test of its own.
_NOT_RUN_HERE = ("python3 -m venv ", ". .venv/", "pip ", "gemvec serve", "gemvec demo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; `reason` says why it is not run, or is empty."""

    place: str
    language: str
    source: str
    reason: str

    @property
    def commands(self):
        """The shell lines that begin with `$`, each joined with its continuations."""
        return [each.removeprefix("$ ") for each in re.findall(r"^\$ (?:.*\\\n)*.*$", self.source, re.MULTILINE)]


def blocks_of(page, root=ROOT):
    """Return the fenced blocks of a page below `root`, in order."""
    text = page.read_text()
    return [
        Block(
            place=f"{page.relative_to(root)}:{text.count(chr(10), 0, each.start('language')) + 1}",
            language=each["language"],
            source=each["source"],
            reason=each["reason"] or "",
        )
        for each in _BLOCK.finditer(text)
    ]


def simple_commands(line):
    """Return the words of each command in a shell line, without pipes, redirections and variables."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, is_target = [[]], False
    for word in lexer:
        if word in {"&&", "||", "|", ";", "&"}:
            found.append([])
        elif word in {"<", ">", ">>"}:
            is_target = True
        elif not is_target:
            found[-1].append(word)
        else:
            is_target = False
    return found


def run_page(page, url, folder, environ):
    """Run a page's blocks in order; returns how many were run."""
    namespace, printed, ran = {}, None, 0
    for block in blocks_of(page):
        if block.language == "text" and printed is not None:
            assert printed.strip() == block.source.strip(), block.place
        printed = None
        if block.reason:
            continue
        if block.language == "python":
            printed = _run_python(block, url, namespace)
        elif block.language == "console":
            run_commands(block, url, folder, environ)
        ran += block.language in {"python", "console"}
    return ran


def _run_python(block, url, namespace):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(block.source.replace(ADDRESS, url), block.place, "exec"), namespace)
    return output.getvalue()


def run_commands(block, url, folder, environ):
    """Run a console block's `$` lines; each must end with status 0."""
    for line in block.commands:
        command = " && ".join(part for part in line.split(" && ") if not part.startswith(_NOT_RUN_HERE))
        done = subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, url)],
            cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}\n{done.stderr}"
