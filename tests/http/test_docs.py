"""The documentation of the API is made from the route table, so nothing is missing and nothing is stale."""

import html
import json
import re
import shlex

import pytest

from gemvec.server.docs import curl, full_path, openapi_document
from gemvec.server.routes import ROUTES
from gemvec.server.schemas import schemas


def test_every_route_is_in_the_document(http):
    paths = http.get("/openapi.json").json()["paths"]
    assert {(row.method.lower(), full_path(row)) for row in ROUTES} == {
        (method, path) for path, methods in paths.items() for method in methods
    }


def test_every_reference_leads_somewhere():
    document = json.dumps(openapi_document(ROUTES))
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', document))
    assert referred <= schemas().keys()
    assert schemas().keys() <= referred, "a message that no route has"


@pytest.mark.parametrize("row", [row for row in ROUTES if row.example is not None], ids=lambda row: row.path)
def test_every_example_works(http, row):
    path = full_path(row).replace("{model}", "tiny")
    response = http.request(row.method, path, json=row.example)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_every_curl_command_is_one_shell_command(row):
    words = shlex.split(curl(row))
    assert words[0] == "curl"
    if row.example is not None:
        assert json.loads(words[-1]) == row.example


def test_the_page_shows_every_route_and_needs_nothing_else(http):
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for row in ROUTES:
        assert row.summary.partition("`")[0] in html.unescape(page.text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "$base" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_page_has_each_group_once(http):
    headings = re.findall(r"<h2>(.*?)</h2>", http.get("/docs").text)
    assert len(headings) == len(set(headings))


def test_the_page_is_made_out_to_the_address_it_was_asked_at(http):
    assert 'curl -X POST "http://my-host:99/' in http.get("/docs", headers={"host": "my-host:99"}).text.replace(
        "&quot;", '"'
    )
    assert "<script>alert" not in http.get("/docs", headers={"host": "<script>alert"}).text
