"""The playground: texts in, similarities out, and the call as a program."""

import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

TEXTS = "a cat sleeps\nthe cat sleeps\ncompilers emit code"


@pytest.fixture
def page(open_page, gemvec_server):
    page = open_page(gemvec_server.url)
    expect(page.get_by_role("button", name="Embed", exact=True)).to_be_enabled()
    return page


def embed(page, texts=TEXTS):
    page.get_by_label("Texts, one on each line").fill(texts)
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.locator(".result h2").first).to_be_visible()


def fact(page, name, side=0):
    return page.locator(".result").nth(side).locator("dl div", has_text=name).locator("dd")


def test_texts_become_a_map_a_picture_and_pairs(page):
    embed(page)
    cells = page.get_by_role("gridcell")
    assert cells.count() == 9
    expect(page.get_by_role("gridcell", name="1 and 1: 1.00")).to_be_visible()
    assert page.locator("svg.picture .point").count() == 3
    assert page.locator(".pairs li").count() == 3
    expect(page.locator(".pairs li").first).to_contain_text("1. a cat sleeps")
    expect(page.locator(".pairs li").first).to_contain_text("2. the cat sleeps")
    expect(page.locator(".weights")).to_have_text("fake@00000000")


def test_the_facts_are_the_servers(page):
    embed(page)
    expect(fact(page, "Tokens")).to_have_text("9")
    expect(fact(page, "Values")).to_have_text("768")
    expect(fact(page, "Cut")).to_have_text("none")
    expect(fact(page, "Time")).to_contain_text("s")


def test_the_map_is_read_with_the_arrow_keys(page):
    embed(page)
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # there is no cell beyond the last
    expect(page.locator(".readout")).to_contain_text("2: the cat sleeps")
    expect(page.locator(".readout")).to_contain_text("3: compilers emit code")


def test_the_map_is_read_with_the_pointer(page):
    embed(page)
    page.get_by_role("gridcell", name="1 and 3:").hover()
    expect(page.locator(".readout")).to_contain_text("1: a cat sleeps")
    expect(page.locator(".readout")).to_contain_text("3: compilers emit code")


def test_two_ways_stand_side_by_side(page):
    page.get_by_label("Compare two ways").check()
    one, other = page.get_by_role("group", name="How to embed, A"), page.get_by_role("group", name="How to embed, B")
    one.get_by_label("Task type").select_option("RETRIEVAL_QUERY")
    other.get_by_label("Task type").select_option("RETRIEVAL_DOCUMENT")
    other.get_by_label("Title").fill("Animals")
    other.get_by_label("Model").select_option("gemini-embedding-001")
    other.get_by_label("Values").fill("64")
    embed(page)
    expect(page.locator(".result")).to_have_count(2)
    expect(fact(page, "Values", 0)).to_have_text("768")
    expect(fact(page, "Values", 1)).to_have_text("64")
    expect(page.locator(".result").nth(1)).to_contain_text("RETRIEVAL_DOCUMENT")
    page.get_by_label("Compare two ways").uncheck()
    embed(page)
    expect(page.locator(".result")).to_have_count(1)


def test_a_title_is_only_for_documents(page):
    side = page.get_by_role("group", name="How to embed")
    expect(side.get_by_label("Title")).to_be_disabled()
    side.get_by_label("Task type").select_option("RETRIEVAL_DOCUMENT")
    expect(side.get_by_label("Title")).to_be_enabled()


def test_a_name_without_options_offers_none(page):
    side = page.get_by_role("group", name="How to embed")
    side.get_by_label("Model").select_option("embedding-001")
    for label in ("Values", "Task type", "Title"):
        expect(side.get_by_label(label)).to_be_disabled()


def test_texts_that_are_cut_are_named(page):
    side = page.get_by_role("group", name="How to embed")
    side.get_by_label("Model").select_option("gemini-embedding-001")
    embed(page, "\n".join(["short", "word " * 3000, "also short", "many " * 2049]))
    expect(fact(page, "Cut")).to_have_text("2, 4")
    expect(page.locator(".result .notice")).to_contain_text("2 texts are longer than the model takes")


def test_a_refusal_is_shown_in_the_servers_words(page):
    side = page.get_by_role("group", name="How to embed")
    side.get_by_label("Values").fill("99999")
    page.get_by_role("button", name="Embed", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="400 INVALID_ARGUMENT")).to_contain_text("output_dimensionality")


def test_control_and_enter_embed(page):
    page.get_by_label("Texts, one on each line").fill(TEXTS)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".pairs li")).to_have_count(3)


def test_no_texts_cannot_be_embedded(page):
    page.get_by_label("Texts, one on each line").fill(" \n \n")
    expect(page.get_by_role("button", name="Embed", exact=True)).to_be_disabled()


def test_one_text_has_a_map_of_one_cell(page):
    embed(page, "alone")
    assert page.get_by_role("gridcell").count() == 1
    expect(page.locator(".result")).to_contain_text("One text has no pairs.")


def test_many_texts_have_a_map_of_the_first_sixty(page):
    embed(page, "\n".join(f"text {number}" for number in range(70)))
    expect(page.locator(".result")).to_contain_text("The map shows the first 60 texts.")
    assert page.get_by_role("gridcell").count() == 3600


def test_markup_in_a_text_is_text(page):
    embed(page, "<img src=x onerror=alert(1)>\n<b>bold</b>")
    expect(page.locator(".pairs li")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".result img, .result .pair b").count() == 0


def program(page, language):
    page.get_by_label("Language").select_option(language)
    return page.locator("pre.program").text_content()


HARD = 'it\'s "quoted" \\ $HOME\nnaïve 日本 🙂 `x` ${y}'


@pytest.fixture
def hard_call(page):
    """The page with a call that is hard to write down."""
    side = page.get_by_role("group", name="How to embed")
    side.get_by_label("Model").select_option("gemini-embedding-001")
    side.get_by_label("Task type").select_option("RETRIEVAL_DOCUMENT")
    side.get_by_label("Title").fill("O'Hara")
    side.get_by_label("Values").fill("64")
    page.get_by_label("Texts, one on each line").fill(HARD)
    return page


def test_the_curl_command_runs(hard_call, curl):
    command = program(hard_call, "curl").rstrip() + " --fail -sS"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count('"values"') == 2


@pytest.mark.parametrize("language", ["Python", "Milvus"])
def test_a_python_program_runs(hard_call, language, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", program(hard_call, language)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "64" in done.stdout or "naïve" in done.stdout


def test_the_node_program_is_well_formed(hard_call, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    (tmp_path / "embed.mjs").write_text(program(hard_call, "Node.js"))
    subprocess.run(["node", "--check", "embed.mjs"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("Go", ["genai.Ptr(int32(64))", 'TaskType: "RETRIEVAL_DOCUMENT"', r'"it\'s \"quoted\" \\ $HOME"']),
        ("Java", [".outputDimensionality(64)", '.taskType("RETRIEVAL_DOCUMENT")', '.title("O\'Hara")']),
    ],
)
def test_other_programs_have_the_same_options(hard_call, language, words):
    shown = program(hard_call, language)
    for each in words:
        assert each.replace(r"\'", "'") in shown


def test_a_program_is_copied(open_page, gemvec_server):
    page = open_page(gemvec_server.url, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("pre.program").text_content()
