"""The console's files are in the package, are light, and reach nothing but their own server."""

import re

import httpx
import pytest

from gemvec.console.assets import load_assets
from gemvec.embedding.task_type import TaskType

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FIRST_PAINT_BYTES = 150_000


def imported(name, found):
    """Add a module and everything that it imports, with the imports of these."""
    if name not in found:
        found.add(name)
        for each in re.findall(r'from "\./([\w.]+)"', load_assets()[name].content.decode()):
            imported(each, found)
    return found


def test_a_browser_gets_the_console_and_a_program_gets_json(gemvec_server):
    page = httpx.get(gemvec_server.url, headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>gemvec console</title>" in page.text
    told = httpx.get(gemvec_server.url)
    assert told.json()["name"] == "gemvec"
    assert page.headers["vary"] == told.headers["vary"] == "accept"


def test_what_a_browser_needs_for_its_first_page_is_small():
    found = imported("console.js", {"index.html", "console.css", "icon.svg", "theme.js"})
    assert sum(len(load_assets()[name].content) for name in found) < FIRST_PAINT_BYTES


def test_every_file_is_used():
    page = load_assets()["index.html"].content.decode()
    used = set(re.findall(r'"console/([\w.]+)"', page)) | {"index.html", "docs.css"}
    for name in ("console.js", "docs.js"):
        used |= imported(name, set())
    assert used == set(load_assets())


@pytest.mark.parametrize("name", sorted(load_assets()))
def test_a_file_names_no_other_server_and_makes_no_markup(name):
    text = load_assets()[name].content.decode()
    assert set(re.findall(r"https?://[^\"'`\s)]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bFunction\(| style=", text)


def test_the_policy_lets_only_files_of_this_server_run(gemvec_server):
    for path in ("/", "/docs", "/console/console.js"):
        policy = httpx.get(gemvec_server.url + path, headers=BROWSER).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy


def test_a_browser_keeps_a_file_until_it_changes(gemvec_server):
    address = f"{gemvec_server.url}/console/console.css"
    first = httpx.get(address)
    assert first.headers["cache-control"] == "no-cache"
    again = httpx.get(address, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "..%2Fassets.py", "__init__.py", "console.js.map"])
def test_a_file_that_is_not_the_consoles_is_not_found(gemvec_server, path):
    assert httpx.get(f"{gemvec_server.url}/console/{path}").status_code == 404


def test_the_console_learns_every_name_and_task_type(gemvec_server):
    told = httpx.get(f"{gemvec_server.url}/console/data/models").json()
    assert told["taskTypes"] == [each.name for each in TaskType][1:]
    listed = httpx.get(f"{gemvec_server.url}/v1beta/models").json()["models"]
    assert [f"models/{each['name']}" for each in told["names"]] == [each["name"] for each in listed]
    assert {"name", "weights", "nativeDimensionality", "defaultDimensionality"} <= told["names"][0].keys()


@pytest.mark.gemvec(api_key=("secret",))
def test_with_keys_on_only_the_files_are_for_anybody(gemvec_server):
    assert httpx.get(gemvec_server.url, headers=BROWSER).status_code == 200
    assert httpx.get(f"{gemvec_server.url}/console/api.js").status_code == 200
    assert httpx.get(f"{gemvec_server.url}/console/data/models").status_code == 403
