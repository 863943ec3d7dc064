"""The page `/docs` sends each route's request."""

import json

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gemvec.server.docs import full_path
from gemvec.server.routes import ROUTES

# Of each group the first; some need a model or a setting that this server lacks, and are refused.
FIRST_EXAMPLES = list({row.group: row for row in reversed(ROUTES) if row.example is not None}.values())


def open_route(page, method, path):
    route = page.locator(f'details[data-method="{method.lower()}"][data-path="{path}"]')
    route.locator("summary").click()
    expect(route.get_by_role("button", name="Send")).to_be_visible()
    return route


@pytest.fixture
def page(open_page, gemvec_server):
    return open_page(f"{gemvec_server.url}/docs")


def test_every_route_can_be_sent(page):
    for row in ROUTES:
        route = open_route(page, row.method, full_path(row))
        expect(route.get_by_role("button", name="Send")).to_be_visible()


@pytest.mark.parametrize("row", FIRST_EXAMPLES, ids=lambda row: row.group)
def test_the_example_is_sent_as_it_stands_there(page, gemvec_server, row):
    path = full_path(row)
    for name, value in {"model": "fake", "project": "any", "location": "us-central1"}.items():
        path = path.replace(f"{{{name}}}", value)
    told = httpx.request(row.method, gemvec_server.url + path, json=row.example)
    route = open_route(page, row.method, full_path(row))
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text(f"{told.status_code} {told.reason_phrase}")


def test_the_body_that_is_written_is_the_one_that_is_sent(page):
    route = open_route(page, "POST", "/v1beta/models/{model}:embedContent")
    route.get_by_label("Body").fill(json.dumps({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}))
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text("200 OK")
    shown = json.loads(route.locator(".answer code").text_content())
    assert len(shown["embedding"]["values"]) == 3


def test_a_refusal_is_shown_as_it_came(page):
    route = open_route(page, "GET", "/v1beta/models/{model}")
    route.get_by_label("model").fill("nothing")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text("404 Not Found")
    expect(route.locator(".answer")).to_contain_text("NOT_FOUND")


def test_a_file_is_uploaded(page):
    route = open_route(page, "POST", "/upload/{version}/files")
    route.get_by_label("Body").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"some text"})
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer")).to_contain_text('"sizeBytes": "9"')


@pytest.mark.gemvec(api_key=("secret",))
def test_a_key_is_sent_when_it_was_given(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/docs")
    route = open_route(page, "GET", "/v1beta/models")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text("403 Forbidden")
    page.get_by_label("API key").fill("secret")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text("200 OK")


def test_routes_are_filtered(page):
    page.get_by_label("Filter routes").fill("countTokens")
    expect(page.locator("main details:visible")).to_have_count(1)


def test_a_server_that_is_gone_is_said(open_page, serve):
    with serve() as url:
        page = open_page(f"{url}/docs")
        route = open_route(page, "GET", "/healthz")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer")).to_have_text("The server does not answer.")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_fault(open_page, gemvec_server, theme, width):
    page = open_page(f"{gemvec_server.url}/docs", viewport={"width": width, "height": 800}, color_scheme=theme)
    route = open_route(page, "POST", "/v1beta/models/{model}:embedContent")
    route.get_by_role("button", name="Send").click()
    expect(route.locator(".answer strong")).to_have_text("200 OK")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
