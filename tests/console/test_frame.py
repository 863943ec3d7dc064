"""Around the pages: navigation, theme, key, a server that is gone, narrow screens, accessibility; models, figures."""

import re
import shutil

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

PAGES = ("Playground", "Search", "Batches", "Files", "Models", "Now", "Keys")
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
KEY = "a-secret-key"
# The server runs in the process of the tests, which may be large by now.
SIZE = re.compile(r"\d [MG]iB")
FIRST_PAINT_BYTES = 150_000
LINE = b'{"key": "1", "request": {"content": {"parts": [{"text": ""}]}}}'


def go(page, name):
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def test_each_page_has_an_address(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    for name in PAGES:
        go(page, name)
        assert page.url.endswith(f"#/{name.lower()}")
        assert page.title() == f"{name} - gemvec"
        expect(page.locator("nav [aria-current]")).to_have_text(name)
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Now")).to_be_visible()


@pytest.mark.parametrize("name", ["nowhere", "constructor", "toString"])
def test_an_address_of_no_page_shows_the_playground(open_page, gemvec_server, name):
    page = open_page(f"{gemvec_server.url}/#/{name}")
    expect(page.get_by_role("heading", level=1, name="Playground")).to_be_visible()


def test_what_was_written_is_there_when_one_comes_back(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    page.get_by_label("Texts, one on each line").fill("keep me")
    go(page, "Now")
    go(page, "Playground")
    expect(page.get_by_label("Texts, one on each line")).to_have_value("keep me")


def test_the_server_is_named_and_ready(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    expect(page.locator("#health")).to_have_text("Ready")
    expect(page.locator("#version")).to_have_text(httpx.get(gemvec_server.url).json()["version"])


def test_the_theme_that_is_chosen_stays(open_page, gemvec_server):
    page = open_page(gemvec_server.url, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Theme").select_option("dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.get_by_label("Theme")).to_have_value("dark")
    assert page.evaluate(ground) == dark
    page.get_by_label("Theme").select_option("")
    assert page.evaluate(ground) == light


def test_the_keyboard_skips_to_the_page(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#page")).to_be_focused()
    assert page.url.rstrip("/") == gemvec_server.url


@pytest.mark.gemvec(api_key=(KEY,))
def test_a_key_is_asked_for_and_kept_in_the_tab_only(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_contain_text("unregistered callers")
    dialog.get_by_label("Key").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("API key not valid")
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("button", name="Embed", exact=True)).to_be_enabled()
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.locator(".result")).to_be_visible()
    expect(page.locator("pre.program")).to_contain_text("$GEMINI_API_KEY")
    assert KEY not in page.content()
    assert page.evaluate("JSON.stringify([localStorage, document.cookie])").find(KEY) == -1
    page.reload()
    expect(page.get_by_role("button", name="Embed", exact=True)).to_be_enabled()
    for name in PAGES:
        go(page, name)
    expect(page.get_by_role("alert")).to_have_count(0)
    other = page.context.new_page()
    other.goto(gemvec_server.url)
    expect(other.get_by_role("dialog", name="API key")).to_be_visible()


@pytest.mark.gemvec(api_key=(KEY,))
def test_a_key_is_changed_and_forgotten(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert").filter(has_text="403 PERMISSION_DENIED")).to_be_visible()
    page.get_by_role("button", name="Set a key").click()
    page.get_by_role("dialog").get_by_label("Key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Change the key").click()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("dialog")).to_contain_text("unregistered callers")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_key_that_is_no_admins_sees_its_own_things_and_no_figures(open_page, serve, make_key):
    key = make_key("alice", models=("gemini-embedding-001",))
    with serve() as url:
        page = open_page(url)
        page.get_by_role("dialog").get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("group", name="How to embed").get_by_label("Model")).to_have_text(
            "gemini-embedding-001"
        )
        go(page, "Models")
        expect(page.locator(".weights-card tbody tr")).to_have_count(1)
        expect(page.get_by_role("heading", name="Memory")).to_be_hidden()
        expect(page.get_by_role("alert")).to_have_count(0)
        go(page, "Now")
        expect(page.get_by_role("alert").filter(has_text="403 PERMISSION_DENIED")).to_contain_text("admin")
        expect(page.locator(".charts")).to_be_hidden()


def test_a_server_that_is_gone_is_said_and_found_again(open_page, serve):
    with serve() as url:
        page = open_page(url)
        expect(page.locator("#health")).to_have_text("Ready")
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.locator("#dead")).to_contain_text("The server does not answer")
    expect(page.locator("#health")).to_have_text("No answer")
    with serve(port=int(url.rpartition(":")[2])):
        expect(page.locator("#dead")).to_be_hidden()
        expect(page.locator("#health")).to_have_text("Ready")
        page.get_by_role("button", name="Embed", exact=True).click()
        expect(page.locator(".result")).to_be_visible()


def test_models_are_shown_with_the_names_that_mean_them(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/models")
    card = page.locator(".weights-card")
    expect(card.locator("h2")).to_have_text("fake@00000000")
    names = [
        each["name"].removeprefix("models/")
        for each in httpx.get(f"{gemvec_server.url}/v1beta/models").json()["models"]
    ]
    assert card.locator("tbody th").all_text_contents() == names
    gemini = card.locator("tr").filter(has_text=re.compile("^gemini-embedding-001"))
    assert gemini.locator("td").all_text_contents()[:3] == ["3,072", "2,048", "yes"]
    expect(page.locator("dl div", has_text="The server's process")).to_contain_text(SIZE)
    expect(page.locator("dl div", has_text="Texts a minute")).to_have_count(0)


def test_a_model_is_measured(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/models")
    expect(page.locator(".weights-card dl div", has_text="Check it")).to_contain_text("gemvec models verify fake")
    page.get_by_role("button", name="Measure fake@00000000").click()
    expect(page.locator(".measure [role=status]")).to_have_text(
        re.compile(r"^[\d,.]+ texts a second, [\d.]+ .?s for one text, from this browser$")
    )


def test_what_the_weights_are_for_is_said(open_page, serve):
    with serve(model=("fake",)) as url:
        page = open_page(f"{url}/#/models")
        expect(page.locator(".weights-card dl div", has_text="Languages")).to_contain_text("not known")


def test_the_memory_of_each_model_is_that_of_the_metrics(open_page, serve, tiny_model, tmp_path):
    other = shutil.copytree(tiny_model, tmp_path / "other")
    with serve(model=(str(tiny_model), str(other))) as url:
        told = dict(re.findall(r'gemvec_model_memory_bytes{model="(.*)"} (.*)', httpx.get(f"{url}/metrics").text))
        page = open_page(f"{url}/#/models")
        for name, state in ((tiny_model.name, "in memory now"), ("other", "not in memory now")):
            card = page.locator(".weights-card", has=page.locator("h2", has_text=name))
            shown = card.locator("dl div", has_text="Memory").locator("dd").text_content()
            number, unit, *rest = shown.removeprefix("about ").replace(",", " ", 1).split()
            factor = {"KiB": 2**10, "MiB": 2**20}[unit]
            assert float(number) * factor == pytest.approx(float(told[name]), rel=0.1)
            assert " ".join(rest) == state


def test_what_a_browser_fetches_for_its_first_page_is_small(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    expect(page.get_by_role("button", name="Embed", exact=True)).to_be_enabled()
    sizes = "performance.getEntries().map((each) => each.decodedBodySize ?? 0)"
    assert 0 < sum(page.evaluate(sizes)) < FIRST_PAINT_BYTES


@pytest.mark.gemvec(limits="google")
def test_the_callers_limits_are_shown(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/models")
    expect(page.locator("dl div", has_text="Tokens a minute")).to_contain_text("30,000")


def test_the_figures_of_now_are_those_of_the_metrics(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/now")
    expect(page.locator(".chart-card:visible")).to_have_count(6)
    expect(page.locator(".chart-card", has_text="Memory").locator("dd").first).to_contain_text(SIZE)
    for _ in range(20):
        requests = [{"content": {"parts": [{"text": "four words are here"}]}}] * 10
        httpx.post(f"{gemvec_server.url}/v1beta/models/fake:batchEmbedContents", json={"requests": requests})
    card = page.locator(".chart-card", has_text="Tokens a second")
    expect(card.locator("path.line-1")).to_have_attribute("d", re.compile("L"))
    figure = page.locator(".chart-card", has_text="Time of an embedding call").locator("dd").first
    expect(figure).to_have_text(re.compile(r"(ms|µs|s)$"))


def test_nothing_is_wider_than_a_narrow_screen(open_page, gemvec_server):
    fill(gemvec_server.url)
    page = open_page(gemvec_server.url, viewport=NARROW)
    page.get_by_label("Compare two ways").check()
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.locator(".result")).to_have_count(2)
    for name in PAGES:
        go(page, name)
        expect(page.locator("#page :is(.item, td, dd, pre)").first).to_be_visible()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= NARROW["width"], name


@pytest.mark.parametrize(("theme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_axe_finds_no_fault(open_page, gemvec_server, theme, viewport):
    fill(gemvec_server.url)
    page = open_page(gemvec_server.url, viewport=viewport, color_scheme=theme, reduced_motion="reduce")
    page.get_by_label("Compare two ways").check()
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.locator(".result")).to_have_count(2)
    assert_accessible(page)
    go(page, "Batches")
    page.get_by_role("button", name="Details of").click()
    page.get_by_role("button", name="Show the errors").click()
    expect(page.locator(".errors tbody tr")).to_have_count(1)
    choose = {"name": "a.jsonl", "mimeType": "application/jsonl", "buffer": LINE}
    page.locator("#batch-file").set_input_files(choose)
    assert_accessible(page)
    page.get_by_role("button", name="Delete", exact=True).click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Set a key").click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    for name in PAGES[2:]:
        go(page, name)
        expect(page.locator("#page :is(td, dd, pre)").first).to_be_visible()
        assert_accessible(page)


def fill(url):
    """Make a batch with an error, and wait for its end."""
    requests = [{"request": {"content": {"parts": [{"text": text}]}}} for text in ("a", "")]
    batch = {"displayName": "a batch", "inputConfig": {"requests": {"requests": requests}}}
    httpx.post(f"{url}/v1beta/models/fake:asyncBatchEmbedContent", json={"batch": batch}).raise_for_status()
    sent = {"x-goog-upload-protocol": "raw", "content-type": "text/plain"}
    httpx.post(f"{url}/upload/v1beta/files", content=b"some text", headers=sent).raise_for_status()
    while not httpx.get(f"{url}/v1beta/batches").json()["operations"][0]["done"]:
        pass


def assert_accessible(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
