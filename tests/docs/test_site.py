"""The documentation site is built from the pages, without a page that no menu leads to and without a broken link."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from pages import ROOT

pytestmark = pytest.mark.skipif(find_spec("material") is None, reason="the extra `docs` is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in ROOT.glob("docs/**/*.md")]
    assert [str(page) for page in pages if not (site / page).is_file()] == []


def test_results_that_pages_name_are_in_the_site(site):
    assert (site / "project" / "benchmarks" / "results" / "sts.json").is_file()
    assert 'href="project/benchmarks/results/sts.json"' in (site / "models.html").read_text()


def test_no_page_loads_anything_from_another_site(site):
    for page in site.glob("**/*.html"):
        text = page.read_text()
        for attribute in ('src="http', "src=http", 'rel="stylesheet" href="http', "fonts.googleapis"):
            assert attribute not in text, page
