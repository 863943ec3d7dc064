"""Write docs/pictures/*.png: what the console looks like, in front of a server with the default model.

python tools/pictures.py

It needs a Chromium (Debian's: apt-get install chromium), and fetches the model's weights if they are not here.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from gemvec.testing import start_server

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
MAX_BYTES = 150_000
MODEL = "all-minilm-l6-v2"
PORT = 8000  # the programs on the pictures name the server's address
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    """Serve, and take each picture."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        start_server(Path(folder), model=(MODEL,), port=PORT) as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser)
        for name, (theme, height, prepare) in SCENES.items():
            page = chromium.new_page(viewport={"width": 1200, "height": height}, color_scheme=theme)
            prepare(page, server.url)
            path = PICTURES / f"{name}.png"
            page.mouse.move(0, 0)
            page.screenshot(path=path)
            page.close()
            if path.stat().st_size > MAX_BYTES:
                raise SystemExit(f"{path} has {path.stat().st_size} bytes, more than {MAX_BYTES}")
        chromium.close()


def show_playground(page: Page, url: str) -> None:
    """Embed the texts that are there, and look at a pair of them."""
    page.goto(url)
    page.get_by_role("button", name="Embed", exact=True).click()
    page.get_by_role("gridcell", name="1 and 2:").focus()
    page.evaluate("scrollTo(0, 0)")


def show_comparison(page: Page, url: str) -> None:
    """Compare all values with the first 32."""
    page.goto(url)
    page.get_by_label("Compare two ways").check()
    page.get_by_role("group", name="How to embed, B").get_by_label("Values").fill("32")
    page.get_by_role("button", name="Embed", exact=True).click()
    page.locator(".result").nth(1).wait_for()
    page.evaluate("scrollTo(0, 0)")


def show_batches(page: Page, url: str) -> None:
    """Make batches, and list the errors of one."""
    texts = [f"Article {number} about things that matter." for number in range(400)]
    make_batch(url, "glossary", ["gemvec", *texts[:40]])
    make_batch(url, "articles, first half", ["", *texts[:150], ""])
    wait_for_batches(url)
    make_batch(url, "articles", texts * 50)
    page.goto(f"{url}/#/batches")
    page.get_by_role("button", name="Details of articles, first half").click()
    page.get_by_role("button", name="Show the errors").click()
    page.locator(".errors td").first.wait_for()
    page.wait_for_timeout(3000)


def show_now(page: Page, url: str) -> None:
    """Watch calls of different sizes for a while."""
    page.goto(f"{url}/#/now")
    ended = threading.Event()
    caller = threading.Thread(target=call_until, args=(url, ended))
    caller.start()
    page.wait_for_timeout(40_000)
    ended.set()
    caller.join()


def show_docs(page: Page, url: str) -> None:
    """Send a request from the API's reference."""
    page.goto(f"{url}/docs")
    page.locator("details summary").first.click()
    page.get_by_role("button", name="Send").click()
    page.locator(".answer strong").wait_for()
    page.locator(".try").evaluate("form => form.scrollIntoView()")


def make_batch(url: str, name: str, texts: list[str]) -> None:
    """Make a batch of a file."""
    lines = [
        json.dumps({"key": str(key), "request": {"content": {"parts": [{"text": text}]}}})
        for key, text in enumerate(texts)
    ]
    headers = {"x-goog-upload-protocol": "raw", "content-type": "application/jsonl"}
    stored = httpx.post(f"{url}/upload/v1beta/files", content="\n".join(lines), headers=headers).json()["file"]["name"]
    batch = {"displayName": name, "inputConfig": {"fileName": stored}}
    httpx.post(f"{url}/v1beta/models/{MODEL}:asyncBatchEmbedContent", json={"batch": batch}).raise_for_status()


def wait_for_batches(url: str) -> None:
    """Wait until no batch is open."""
    while not all(each["done"] for each in httpx.get(f"{url}/v1beta/batches").json()["operations"]):
        time.sleep(0.1)


def call_until(url: str, ended: threading.Event) -> None:
    """Embed texts, now more and now fewer."""
    count = 1
    while not ended.wait(0.3):
        count = (3 * count) % 29 + 1
        requests = [{"content": {"parts": [{"text": f"What is {number} good for?"}]}} for number in range(count)]
        httpx.post(f"{url}/v1beta/models/{MODEL}:batchEmbedContents", json={"requests": requests}, timeout=60)


SCENES: dict[str, tuple[str, int, Callable[[Page, str], None]]] = {
    "playground": ("light", 925, show_playground),
    "comparison": ("dark", 800, show_comparison),
    "batches": ("light", 700, show_batches),
    "now": ("dark", 620, show_now),
    "docs": ("light", 700, show_docs),
}

if __name__ == "__main__":
    main()
