"""The page that searches collections: what is found, by meaning and by words, and where it stands in its document."""

import asyncio
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gemvec.milvus import Document, ingest, open_collection
from gemvec.models.fake import FakeEmbedder

HANDBOOK = "# Handbook\n\n" + "\n\n".join(
    f"## {name}\n\n{' '.join([text] * 30)}"
    for name, text in (
        ("Refunds", "Money comes back within three days."),
        ("Shipping", "Parcels leave on weekdays before noon."),
        ("Opening", "The shop opens at nine."),
        ("Returns", "Broken things are sent back."),
    )
)
DOCUMENTS = (
    Document(id="handbook.md", text=HANDBOOK, title="Handbook", source="handbook.md", metadata={"lang": "en"}),
    Document(id="anleitung.md", text="Pakete gehen werktags ab.", title="Anleitung", metadata={"lang": "de"}),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    uri = tmp_path_factory.mktemp("milvus") / "my.db"

    async def fill():
        with open_collection(str(uri), "docs") as collection:
            await ingest(collection, FakeEmbedder(), list(DOCUMENTS))

    with ThreadPoolExecutor(1) as thread:  # in this one, the browser's loop runs already
        thread.submit(asyncio.run, fill()).result()
    return uri


@pytest.fixture
def collection(filled, tmp_path):
    """What `--collection` takes: a copy, because a server keeps a Milvus Lite file for itself."""
    shutil.copytree(filled, tmp_path / "copy.db")
    return f"docs={tmp_path / 'copy.db'}"


@pytest.fixture
def search_page(open_page, serve, collection):
    with serve(served_collection=(collection,)) as url:
        page = open_page(f"{url}/#/search")
        expect(page.get_by_role("button", name="Search")).to_be_visible()
        yield page


def search(page, text):
    page.get_by_label("Search for").fill(text)
    with page.expect_response(re.compile(":search$")) as answered:
        page.keyboard.press("Enter")
    return answered.value


def test_passages_are_found_with_scores_and_places(search_page):
    answer = search(search_page, "parcels leave on weekdays").json()["passages"]
    hits = search_page.locator(".hit")
    expect(hits).to_have_count(len(answer))
    expect(hits.first).to_contain_text("Parcels leave on weekdays")
    expect(hits.first.locator(".score")).to_have_text(f"{answer[0]['score']:.3f}")
    expect(hits.first.locator(".place")).to_have_text(f"handbook.md, {answer[0]['position']}")
    expect(search_page.get_by_text(re.compile(r"passages in [\d.]+ m?s"))).to_be_visible()


def test_a_passage_is_shown_where_it_stands_in_its_document(search_page):
    found = search(search_page, "parcels leave on weekdays").json()["passages"][0]
    hit = search_page.locator(".hit").first
    hit.get_by_role("button", name="In its document").click()
    expect(hit).to_contain_text(f"Passage {found['chunk'] + 1} of ")
    expect(hit.locator(".near [aria-current]")).to_have_count(1)
    expect(hit.locator(".near [aria-current]")).to_contain_text("Parcels leave")
    assert hit.locator(".near li").count() > 2
    hit.get_by_role("button", name="In its document").click()
    expect(hit.locator(".near")).to_be_hidden()


def test_each_option_reaches_the_server(search_page):
    search_page.get_by_label("Match").select_option("Meaning and words")
    search_page.get_by_label("Most passages").fill("3")
    search_page.get_by_label("Filter").fill('metadata["lang"] == "de"')
    search_page.get_by_label("Only the best passage").check()
    answer = search(search_page, "Pakete")
    assert answer.request.post_data_json == {
        "query": "Pakete",
        "limit": 3,
        "hybrid": True,
        "where": 'metadata["lang"] == "de"',
        "byDocument": True,
    }
    expect(search_page.locator(".hit")).to_have_count(1)
    expect(search_page.locator(".hit .metadata")).to_have_text('{"lang":"de"}')


def test_a_filter_that_finds_nothing_and_one_that_is_wrong_are_said(search_page):
    search_page.get_by_label("Filter").fill('metadata["lang"] == "fr"')
    search(search_page, "Pakete")
    expect(search_page.get_by_text("Nothing found.")).to_be_visible()
    search_page.get_by_label("Filter").fill("lang ===")
    search(search_page, "Pakete")
    expect(search_page.get_by_role("alert").filter(has_text="400 INVALID_ARGUMENT")).to_contain_text("where")


def test_a_server_without_a_collection_says_how_to_name_one(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/search")
    expect(page.get_by_role("region", name="Commands")).to_contain_text("gemvec serve --collection docs=./my.db")
    expect(page.get_by_role("button", name="Search")).to_be_hidden()


def test_a_key_sees_only_the_collections_whose_model_it_may_use(open_page, serve, make_key, collection):
    other, mine = make_key("other", models=("gemini-embedding-001",)), make_key("mine", models=("fake",))
    with serve(served_collection=(collection,)) as url:
        near = f"{url}/console/data/collections/docs?document=handbook.md"
        listed = {
            key: httpx.get(f"{url}/console/data/collections", headers={"x-goog-api-key": key}).json()
            for key in (other, mine)
        }
        assert not listed[other].get("collections")
        assert [each["name"] for each in listed[mine]["collections"]] == ["docs"]
        assert httpx.get(near).status_code == 403
        assert httpx.get(near, headers={"x-goog-api-key": other}).status_code in {403, 404}
        assert httpx.get(near, headers={"x-goog-api-key": mine}).json()["passages"]
        page = open_page(f"{url}/#/search")
        page.get_by_role("dialog").get_by_label("Key").fill(mine)
        page.keyboard.press("Enter")
        search(page, "parcels")
        expect(page.locator(".hit").first).to_be_visible()


def test_a_server_that_is_gone_is_said(open_page, serve, collection):
    with serve(served_collection=(collection,)) as url:
        page = open_page(f"{url}/#/search")
        expect(page.get_by_role("button", name="Search")).to_be_visible()
    page.get_by_label("Search for").fill("parcels")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="The server does not answer").first).to_be_visible()


@pytest.mark.parametrize(("around", "document", "status"), [(21, "handbook.md", 400), (-1, "handbook.md", 400)])
def test_too_many_passages_around_one_are_refused(serve, collection, around, document, status):
    with serve(served_collection=(collection,)) as url:
        asked = {"document": document, "around": around}
        answer = httpx.get(f"{url}/console/data/collections/docs", params=asked)
        assert (answer.status_code, f"around is {around}" in answer.text) == (status, True)
        nothing = httpx.get(f"{url}/console/data/collections/docs", params={"document": 'no" or chunk >= 0 or "'})
        assert not nothing.json().get("passages")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_fault(search_page, theme, width):
    search_page.emulate_media(color_scheme=theme)
    search_page.set_viewport_size({"width": width, "height": 800})
    search(search_page, "parcels leave on weekdays")
    search_page.get_by_role("button", name="In its document").first.click()
    expect(search_page.locator(".near").first).to_be_visible()
    assert search_page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(search_page)
    assert found.violations_count == 0, found.generate_report()
