"""The page of keys: who has used what, for administrators, and the commands that make and change keys."""

import re
import shlex

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gemvec.server.key_limits import KeyLimits

TEXT = {"content": {"parts": [{"text": "four words are here"}]}}


@pytest.fixture
def admin_page(open_page, serve, make_key):
    """The page of a server with three keys, one of which was used."""
    admin = make_key("prometheus", is_admin=True)
    make_key("it's revoked")
    alice = make_key("alice", models=("gemini-embedding-001",), limits=KeyLimits(tokens_per_minute=30_000))
    with serve() as url:
        sent = httpx.post(
            f"{url}/v1beta/models/gemini-embedding-001:embedContent", json=TEXT, headers={"x-goog-api-key": alice}
        )
        assert sent.status_code == 200, sent.text
        page = open_page(f"{url}/#/keys")
        page.get_by_role("dialog").get_by_label("Key").fill(admin)
        page.keyboard.press("Enter")
        expect(page.locator("#keys tr")).to_have_count(3)
        yield page


@pytest.fixture
def changing_page(open_page, serve, make_key):
    """The page of a server that lets its admin key make and change keys."""
    admin = make_key("admin", is_admin=True)
    with serve(allow_key_changes=True) as url:
        page = open_page(f"{url}/#/keys")
        page.get_by_role("dialog").get_by_label("Key").fill(admin)
        page.keyboard.press("Enter")
        expect(page.locator("#keys tr")).to_have_count(1)
        page.url_of_server = url
        yield page


def command(page):
    return shlex.split(page.get_by_role("region", name="Command").text_content())


def look_again(page):
    """Have the page ask for the keys now; by itself it does so every few seconds."""
    for name in ("models", "keys"):
        page.get_by_role("navigation").locator(f"[data-page={name}]").click()


def test_keys_are_listed_with_what_they_used(admin_page):
    row = admin_page.locator("#keys tr").filter(has_text="alice")
    cells = row.locator("td").all_text_contents()
    assert cells[:4] == ["active", "gemini-embedding-001", "30,000 tokens/min", "never"]
    assert cells[4:7] == ["1", "1", "4"]
    assert cells[7] != "never"
    expect(admin_page.locator("#keys tr").filter(has_text="revoked")).to_contain_text("the server's")
    expect(admin_page.locator("#keys tr").first).to_contain_text("prometheus admin")


def test_the_use_of_a_key_is_drawn_day_by_day(admin_page):
    use = admin_page.get_by_role("region", name="Use in the last 90 days")
    tokens = use.locator(".chart-card").filter(has_text="tokens a day")
    expect(tokens.get_by_role("definition")).to_have_text("0")
    use.get_by_label("Of the key").select_option("alice")
    expect(tokens.get_by_role("definition")).to_have_text("4")
    expect(tokens.locator("path")).to_have_attribute("d", re.compile(r"^M0\.0 77\.0L.*L320\.0 3\.0$"))


def test_the_command_that_makes_a_key(admin_page):
    admin_page.get_by_label("Name").fill("it's mine")
    admin_page.get_by_label("Model").select_option("gemini-embedding-001")
    admin_page.get_by_label("Texts a minute").fill("600")
    admin_page.get_by_label("Tokens a minute").fill("9000")
    admin_page.get_by_label("Highest priority").fill("-2")
    admin_page.get_by_label("Expires in").fill("30d")
    admin_page.get_by_label("Admin").check()
    assert command(admin_page) == [
        *("gemvec", "keys", "create", "it's mine", "--model", "gemini-embedding-001"),
        *("--admin", "--requests-per-minute", "600", "--tokens-per-minute", "9000", "--max-priority", "-2"),
        *("--expires-in", "30d"),
    ]


def test_limits_are_changed_from_what_they_are(changing_page, make_key):
    page = changing_page
    limits = KeyLimits(tokens_per_minute=9000, max_open_batches=5)
    make_key("ci", limits=limits)
    page.reload()
    row = page.locator("#keys tr").filter(has_text="ci")
    expect(row).to_contain_text("9,000 tokens/min, 5 open batches")
    page.get_by_label("What to do").select_option("set")
    page.locator("[name=key]").select_option("ci")
    expect(page.get_by_label("Tokens a minute")).to_have_value("9000")
    page.get_by_label("Tokens a minute").fill("")
    page.get_by_label("Stored bytes").fill("1000000")
    changes = ["--tokens-per-minute", "default", "--max-stored-bytes", "1000000"]
    assert command(page) == ["gemvec", "keys", "set", "ci", *changes]
    page.get_by_role("button", name="Change the limits").click()
    expect(row).to_contain_text("5 open batches, 1,000,000 bytes stored")
    expect(row).not_to_contain_text("tokens/min")


@pytest.mark.parametrize("verb", ["rotate", "revoke", "delete"])
def test_the_commands_that_change_a_key(admin_page, verb):
    admin_page.get_by_label("What to do").select_option(verb)
    admin_page.locator("[name=key]").select_option("it's revoked")
    assert command(admin_page) == ["gemvec", "keys", verb, "it's revoked"]
    expect(admin_page.get_by_label("Texts a minute")).to_be_hidden()
    expect(admin_page.get_by_label("Expires in")).to_be_visible(visible=verb == "rotate")


def test_the_command_is_copied(admin_page):
    admin_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    admin_page.get_by_role("button", name="Copy").click()
    expect(admin_page.get_by_role("button", name="Copied")).to_be_visible()
    assert shlex.split(admin_page.evaluate("navigator.clipboard.readText()")) == command(admin_page)


def test_a_key_that_is_no_admins_sees_no_keys(open_page, serve, make_key):
    key = make_key("alice")
    with serve() as url:
        page = open_page(f"{url}/#/keys")
        page.get_by_role("dialog").get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text="403 PERMISSION_DENIED")).to_contain_text("admin")
        expect(page.get_by_role("region", name="Keys")).to_be_hidden()
        told = httpx.get(f"{url}/console/data/keys", headers={"x-goog-api-key": key})
        assert told.status_code == 403


def test_no_keys_are_said(open_page, gemvec_server):
    page = open_page(f"{gemvec_server.url}/#/keys")
    expect(page.get_by_text("This server has no named keys.")).to_be_visible()
    expect(page.get_by_role("region", name="Command")).to_have_text(re.compile("^gemvec keys create NAME"))


def test_a_key_is_made_and_shown_once(changing_page):
    page = changing_page
    page.get_by_label("Name").fill("ci")
    page.get_by_label("Tokens a minute").fill("9000")
    page.get_by_label("Expires in").fill("30d")
    page.get_by_role("button", name="Make the key").click()
    dialog = page.get_by_role("dialog", name="The key ci")
    key = dialog.get_by_role("region", name="New key").text_content()
    used = httpx.get(f"{page.url_of_server}/v1beta/models", headers={"x-goog-api-key": key})
    assert used.status_code == 200
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator("#keys tr").filter(has_text="ci")).to_contain_text("9,000")
    assert key not in page.content()
    assert key not in page.url
    assert key not in page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")


def test_a_key_is_replaced_revoked_and_deleted_after_a_question(changing_page):
    page = changing_page
    page.get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="Done").click()
    row = page.locator("#keys tr").filter(has_text="ci")
    expect(row).to_be_visible()
    page.get_by_label("What to do").select_option("rotate")
    page.locator("[name=key]").select_option("ci")
    page.get_by_label("The old key works for").fill("1h")
    assert command(page) == ["gemvec", "keys", "rotate", "ci", "--overlap", "1h"]
    page.get_by_role("button", name="Replace the key").click()
    page.get_by_role("button", name="Replace it").click()
    page.get_by_role("dialog", name="The key ci").get_by_role("button", name="Done").click()
    page.get_by_label("What to do").select_option("revoke")
    page.get_by_role("button", name="Revoke the key").click()
    page.get_by_role("button", name="Keep").click()
    expect(row).to_contain_text("active")
    page.get_by_role("button", name="Revoke the key").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(row).to_contain_text("revoked")
    page.get_by_label("What to do").select_option("delete")
    page.locator("[name=key]").select_option("ci")
    page.get_by_role("button", name="Delete the key").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#keys tr")).to_have_count(1)


def test_what_a_server_refuses_of_a_key_is_said(changing_page):
    page = changing_page
    expect(page.get_by_role("button", name="Make the key")).to_be_disabled()
    page.get_by_label("Name").fill("admin")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert").filter(has_text="400 INVALID_ARGUMENT")).to_contain_text("'admin' already")
    page.get_by_label("Name").fill("other")
    page.get_by_label("Expires in").fill("soon")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert").filter(has_text="400 INVALID_ARGUMENT")).to_contain_text("lifetime_seconds")


def test_a_server_that_allows_no_changes_shows_the_command_only(admin_page):
    expect(admin_page.get_by_role("button", name="Make the key")).to_be_hidden()
    expect(admin_page.get_by_role("region", name="Command")).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_fault(admin_page, theme, width):
    admin_page.emulate_media(color_scheme=theme)
    admin_page.set_viewport_size({"width": width, "height": 800})
    assert admin_page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(admin_page)
    assert found.violations_count == 0, found.generate_report()


def test_a_chosen_key_and_its_limits_stay_when_other_keys_come(changing_page, make_key):
    page = changing_page
    make_key("ci", limits=KeyLimits(tokens_per_minute=9000, max_open_batches=5))
    page.reload()
    row = page.locator("#keys tr").filter(has_text="ci")
    expect(row).to_be_visible()
    page.get_by_label("What to do").select_option("set")
    page.locator("[name=key]").select_option("ci")
    page.get_by_label("Tokens a minute").fill("100")
    headers = {"x-goog-api-key": page.evaluate("Object.values(sessionStorage)[0]")}
    keys = f"{page.url_of_server}/console/data/keys"
    assert httpx.post(keys, json={"name": "new"}, headers=headers).status_code == 200
    changed = {"name": "ci", "limits": {"tokensPerMinute": "9000", "maxOpenBatches": "7"}}
    assert httpx.post(f"{keys}:set", json=changed, headers=headers).status_code == 200
    look_again(page)
    expect(page.locator("#keys tr")).to_have_count(3)
    expect(page.locator("[name=key]")).to_have_value("ci")
    assert command(page) == ["gemvec", "keys", "set", "ci", "--tokens-per-minute", "100"]
    page.get_by_role("button", name="Change the limits").click()
    expect(row).to_contain_text("100 tokens/min, 7 open batches")
    assert httpx.post(f"{keys}:delete", json={"name": "ci"}, headers=headers).status_code == 200
    look_again(page)
    expect(page.locator("#keys tr")).to_have_count(2)
    expect(page.get_by_label("Tokens a minute")).to_have_value("")
