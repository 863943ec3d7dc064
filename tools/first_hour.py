"""Play the first hour of a newcomer: a clone, an empty environment, and the commands that the pages tell.

python tools/first_hour.py --output FOLDER

Writes `transcript.txt`, every command as it is typed and what a terminal of 80 columns shows, with its seconds, and a
picture of each page of the console. The commands are those of the README and of the tutorials, word for word, so a step
that is not on a page cannot be played. It ends with status 1 if one of them fails or if a page's Python prints
something else than the page says. It needs a package index, port 8000, and for the pictures a Chromium and the extra
`test`.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from pages import ADDRESS, Block, blocks_of  # noqa: E402 - found by the line above

PAGES = (
    "docs/tutorials/first-vector.md",  # it installs and serves
    "README.md",
    "docs/tutorials/documents-to-milvus.md",
    "docs/tutorials/large-batch.md",
    "docs/tutorials/rag-in-ci.md",
)
COLUMNS, LINES = 80, 40
# What a machine needs to reach a package index; everything else of the caller's shell stays away.
KEPT = re.compile(r"PIP_|SSL_|CURL_CA|REQUESTS_CA|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy")
SCREENS = {  # of the console: theme and size
    "wide-light": ("light", 1280, 900),
    "wide-dark": ("dark", 1280, 900),
    "narrow-light": ("light", 360, 800),
    "narrow-dark": ("dark", 360, 800),
}
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r\n|\r|\n|[^\x1b\r\n]+")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Hour:
    """A newcomer's two terminals in one clone: one for the server, one for everything else."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.clone = folder / "gemvec"
        self.transcript = (output / "transcript.txt").open("w")
        self.environ = {name: value for name, value in os.environ.items() if KEPT.match(name)} | {  # noqa: TID251 - of a bare shell
            "HOME": str(folder),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        self.server: subprocess.Popen[bytes] | None = None
        self.serving = ""  # the command of the server
        self.faults: list[str] = []
        self.shell_lines: list[str] = []  # such as the one that activates the environment
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        """Write to the transcript and to the terminal."""
        print(text, file=self.transcript, flush=True)
        print(text, flush=True)

    def type_in(self, command: str, place: str) -> None:
        """Run a command as if it was typed."""
        begun = time.monotonic()
        status, shown = run_in_terminal("\n".join([*self.shell_lines, command]), self.clone, self.environ)
        seconds = time.monotonic() - begun
        self.say(f"$ {command}\n{shown}\n[{place}: status {status}, {seconds:.1f} s]\n")
        if status:
            self.faults.append(f"{place}: {command!r} ended with status {status}")

    def serve(self, command: str, place: str) -> None:
        """Start the server in the other terminal, and wait until it answers; one with other options is stopped."""
        if self.serving == command:
            self.say(f"$ {command}\n[{place}: it runs already in the other terminal]\n")
            return
        self.stop()
        self.serving = command
        begun = time.monotonic()
        with (self.clone.parent / "server.log").open("wb") as log:
            words = ["bash", "-c", "\n".join([*self.shell_lines, f"exec {command}"])]
            self.server = subprocess.Popen(words, cwd=self.clone, env=self.environ, stdout=log, stderr=log)
        while not answers(f"{ADDRESS}/readyz"):
            if self.server.poll() is not None or time.monotonic() > begun + 300:
                self.faults.append(f"{place}: the server did not start")
                break
            time.sleep(0.05)
        self.say(f"$ {command}\n[{place}: it answers after {time.monotonic() - begun:.1f} s]\n")

    def stop(self) -> None:
        """Stop the server with Ctrl-C, and write what its terminal showed."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            status = self.server.wait(timeout=60)
            shown = (self.clone.parent / "server.log").read_text()
            self.say(f"== The server's terminal ==\n{shown}\n[Ctrl-C: status {status}]\n")
            if status:
                self.faults.append(f"the server ended with status {status}")
            self.server, self.serving = None, ""

    def end(self) -> None:
        """Stop the server, and say how the hour went."""
        self.stop()
        for fault in self.faults:
            self.say(f"FAULT {fault}")
        self.say(f"{len(self.faults)} faults in {time.monotonic() - self.started:.0f} s")
        self.transcript.close()


def main() -> int:
    """Play all pages, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if answers(ADDRESS):
        parser.error(f"something answers at {ADDRESS} already, and the pages name that address")
    with tempfile.TemporaryDirectory() as folder:
        hour = Hour(Path(folder), options.output)
        subprocess.run(["git", "clone", "--quiet", ROOT, hour.clone], check=True)
        try:
            for page in PAGES:
                play(hour, hour.clone / page)
            take_pictures(hour, options.output)
        finally:
            hour.end()
        return 1 if hour.faults else 0


def play(hour: Hour, page: Path) -> None:
    """Play the blocks of a page in their order; its Python is one program, each block's output behind it."""
    name = str(page.relative_to(hour.clone))
    hour.say(f"==== {name} ====\n")
    blocks = blocks_of(page, root=hour.clone)
    program, printed = "", ""
    for block in blocks:
        if block.reason:
            hour.say(f"[{block.place}: not played: {block.reason}]\n")
        elif block.language == "console":
            for command in block.commands:
                play_command(hour, command, block)
        elif block.language == "python":
            program, printed = run_python(hour, program, printed, block)
        elif block.language == "text" and printed.strip() and not printed.strip().endswith(block.source.strip()):
            hour.faults.append(f"{block.place}: the page says {block.source!r}, but it printed {printed!r}")


def play_command(hour: Hour, command: str, block: Block) -> None:
    """Play a shell line: one that changes the shell itself is also kept for those after it."""
    if command.startswith("gemvec serve"):
        hour.serve(command, block.place)
        return
    hour.type_in(command, block.place)
    if found := re.search(r"\. (\S+/bin/activate)", command):
        hour.shell_lines.append(f". {found[1]}")


def run_python(hour: Hour, before: str, printed_before: str, block: Block) -> tuple[str, str]:
    """Run a page's Python as far as this block, as in a notebook; return the program and what all of it printed."""
    program = before + block.source
    (hour.clone / "program.py").write_text(program)
    begun = time.monotonic()
    command = "\n".join([*hour.shell_lines, "python program.py"])
    status, shown = run_in_terminal(command, hour.clone, hour.environ)
    seconds = time.monotonic() - begun
    new = shown.removeprefix(printed_before)
    hour.say(f">>> {block.source.strip()}\n\n{new}\n[{block.place}: status {status}, {seconds:.1f} s]\n")
    if status:
        hour.faults.append(f"{block.place}: the program ended with status {status}")
    return program, shown


def run_in_terminal(command: str, folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns; return its status and what the terminal shows at its end."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = bytearray()
    with suppress(OSError):  # the terminal is closed when the command has ended
        while part := os.read(ours, 65536):
            written += part
    status = process.wait()
    os.close(ours)  # not before: a command that is still ending would get SIGHUP
    return status, screen_of(written.decode(errors="replace"))


def screen_of(written: str) -> str:
    """Return the lines that are left when carriage returns and the few movements that programs use are obeyed."""
    lines, row = [""], 0
    for part in TERMINAL.findall(written):
        if part in {"\r\n", "\n"}:
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif moved := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(0, row - int(moved[1] or 1))
        elif part == "\r" or re.fullmatch(r"\x1b\[[02]?K", part):
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] += part
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def answers(url: str) -> bool:
    """Say whether something answers at an address."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=1):
        return True
    return False


def take_pictures(hour: Hour, output: Path) -> None:
    """Look at every page of the console, wide and narrow, light and dark, with what the hour has left there."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        hour.say("[no pictures: there is no Chromium on this machine]")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        for screen, (theme, width, height) in SCREENS.items():
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            page.goto(f"{ADDRESS}/#/search")
            page.get_by_label("Search for").fill("how long does it take to get my money?")
            page.keyboard.press("Enter")
            page.locator(".hit").first.wait_for()
            page.get_by_role("button", name="In its document").first.click()
            page.goto(f"{ADDRESS}/#/playground")
            page.get_by_role("button", name="Embed", exact=True).click()
            page.locator(".result").wait_for()
            for link in page.get_by_role("navigation", name="Pages").get_by_role("link").all():
                link.click()
                page.wait_for_timeout(2500)
                page.screenshot(path=output / f"{link.text_content()}-{screen}.png".lower(), full_page=True)
            page.goto(f"{ADDRESS}/docs")
            page.screenshot(path=output / f"docs-{screen}.png")
            page.close()
        chromium.close()


if __name__ == "__main__":
    sys.exit(main())
