"""The code on the pages of the documentation runs, page by page, and prints what the page says."""

import json

import pytest
import yaml

from pages import PAGES, ROOT, blocks_of, run_page

RUN = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/tutorials/*.md")])
WRITTEN_BY_HAND = [page for page in PAGES if page.parent != ROOT / "docs" / "reference"]
SHOWN = {"", "diff", "json", "nginx", "text", "yaml"}


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def live_server(serving_for_real, tmp_path):
    """A server for each page: some list what is there."""
    with serving_for_real(tmp_path / "server") as url:
        yield url


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*experimental.*")  # Google's SDK says so of all batches
@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_blocks_of_a_page_run_and_print_what_they_say(page, live_server, folder, environ, request):
    if "curl " in page.read_text():
        request.getfixturevalue("curl")
    run_page(page, live_server, folder, environ)


@pytest.mark.parametrize("page", WRITTEN_BY_HAND, ids=name)
def test_every_block_is_run_or_says_why_not(page):
    for block in blocks_of(page):
        is_run = page in [*RUN, ROOT / "README.md"] and (block.language == "python" or block.commands)
        assert block.language in SHOWN or block.reason or is_run, block.place


@pytest.mark.parametrize("page", WRITTEN_BY_HAND, ids=name)
def test_every_block_of_data_is_well_formed(page):
    for block in blocks_of(page):
        if block.language == "json":
            assert [json.loads(line) for line in block.source.splitlines()], block.place
        if block.language == "yaml":
            assert yaml.safe_load(block.source), block.place


def test_the_quickstarts_are_the_examples_that_are_run():
    examples = [path.read_text() for path in ROOT.glob("examples/*/*.*")]
    shown = [each for each in blocks_of(ROOT / "docs" / "quickstarts.md") if "examples/" in each.reason]
    assert len(shown) == 4
    for block in shown:
        assert any(block.source.strip() in example for example in examples), block.place
