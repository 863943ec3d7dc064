"""Each way of installing that the README names brings what it is for; where a package is missing, the error names it.

Every package but those that an install brings is hidden from a Python of its own.
"""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gemvec.errors import how_to_install

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "gemvec"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLS = {"base": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
LIGHT = ["errors", "settings", "logs", "wire", "client", "pymilvus"]
ROOMS = {
    "base": LIGHT,
    "server": [*LIGHT, "models", "storage", "files", "batches", "server", "cli"],
    "milvus": [*LIGHT, "milvus", "cli"],
}
DISTRIBUTIONS = {
    package: {canonicalize_name(each) for each in found} for package, found in packages_distributions().items()
}
# Packages that only tests of clients install, each in an environment of its own, and what brings them.
NOT_INSTALLED = {
    "haystack": {"haystack-ai"},
    "llama_index": {"llama-index-core"},
    "sentence_transformers": {"sentence-transformers"},
}
# Installs that are not tested together with the others: of benchmarks, of releases, and of those packages.
APART = {"bench", "dist", "haystack", "llama-index", "ray", "torch"}
HIDE = """
import sys
from importlib.machinery import PathFinder

class Installed:
    find_distributions = staticmethod(PathFinder.find_distributions)  # some packages ask for their own version

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Installed() if each is PathFinder else each for each in sys.meta_path]
"""


def distributions_of(requirements):
    """Return the names of what pip would install for `requirements`, and of what those need in turn."""
    found, waiting = set(), [Requirement(each) for each in requirements]
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if name in found or (each.marker and not each.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(needed) for needed in requires(name) or []]
    return found


def only_what_comes_with(*installs):
    """Return Python source that hides every package but the standard library's and those of some installs."""
    brought = {"gemvec", *distributions_of([each for install in ("base", *installs) for each in INSTALLS[install]])}
    hidden = {package for package, found in DISTRIBUTIONS.items() if not found & brought}
    return f"HIDDEN = {hidden!r}\n{HIDE}"


def run(source, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", source], capture_output=True, text=True, check=False, timeout=120
    )


def imported_packages(path):
    """Yield the packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_every_package_that_is_imported_is_one_that_an_install_brings():
    named = [each for name, install in INSTALLS.items() if name not in {"test", "bench"} for each in install]
    brought = {canonicalize_name(Requirement(each).name) for each in named}
    missing = {
        (str(path.relative_to(SOURCE)), package)
        for path in SOURCE.rglob("*.py")
        for package in imported_packages(path)
        if package not in {"gemvec", *sys.stdlib_module_names}
        and not DISTRIBUTIONS.get(package, NOT_INSTALLED.get(package, set())) & brought
    }
    assert missing == {("testing.py", "pytest")}  # which loads that module itself


@pytest.mark.parametrize("install", [each for each in INSTALLS if each != "torch"])
def test_only_the_extra_for_it_brings_torch(install):
    named = {Requirement(each).name for each in INSTALLS[install]}
    assert not named & {"torch", "sentence-transformers", "transformers"}
    assert not [each for each in INSTALLS[install] if "torch" in Requirement(each).extras]


@pytest.mark.parametrize("install", [each for each in INSTALLS if each not in APART])
def test_the_tested_set_has_what_an_install_asks_for(install):
    text = (ROOT / "requirements" / "tested.txt").read_text()
    tested = {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.MULTILINE)
    }
    asked = [each for each in map(Requirement, INSTALLS[install]) if each.name != "gemvec"]
    assert not [str(each) for each in asked if tested.get(canonicalize_name(each.name), "none") not in each.specifier]


@pytest.mark.parametrize("install", ROOMS)
def test_every_module_of_its_rooms_loads_with_what_an_install_brings(install):
    paths = [each for room in ROOMS[install] for each in [*SOURCE.glob(f"{room}.py"), *SOURCE.glob(f"{room}/**/*.py")]]
    names = [".".join(each.relative_to(SOURCE.parent).with_suffix("").parts) for each in paths]
    loading = f"from importlib import import_module\nfor each in {names}: import_module(each)"
    done = run(f"{only_what_comes_with(install)}\n{loading}")
    assert names
    assert done.returncode == 0, done.stderr


def test_without_milvus_own_package_its_modules_are_refused_with_what_to_install():
    done = run(f"{only_what_comes_with('base')}\nimport gemvec.pymilvus.model.reranker")
    assert "ModuleNotFoundError: gemvec has no module" in done.stderr
    assert "pip install 'pymilvus[model]'" in done.stderr


def test_the_base_install_is_enough_to_embed():
    source = f"""{only_what_comes_with("base")}
import http.server, json, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps({{"embeddings": [{{"values": [3, 4]}} for _ in body["requests"]]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

from gemvec import GeminiEmbeddingFunction
from gemvec.errors import MissingDependency

url = f"http://127.0.0.1:{{server.server_port}}"
vectors = GeminiEmbeddingFunction(base_url=url, show_progress=True).encode_documents(["a"] * 150)
print(len(vectors), vectors[0])
try:
    GeminiEmbeddingFunction(base_url="local")
except MissingDependency as error:
    print(error)
"""
    outcome = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=False)
    assert outcome.stdout.splitlines() == [
        "150 [0.6 0.8]",
        f"The model in this process (base URL `local`) needs openvino. {how_to_install('server')}",
    ], outcome.stderr
    assert outcome.stderr.endswith("embedding 150/150 texts\n")


def test_the_command_line_without_its_packages_names_the_extra():
    source = f"{only_what_comes_with('base')}\nsys.argv = ['gemvec']\nfrom gemvec.cli import main\nmain()"
    outcome = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert outcome.stderr == (f"error: The command line needs more packages. {how_to_install('all')}\n")


@pytest.mark.parametrize(
    ("install", "words", "package"),
    [("milvus", ["serve"], "starlette"), ("milvus", ["keys", "list"], "sqlalchemy"), ("milvus", ["demo"], "uvicorn")],
)
def test_a_command_without_its_packages_names_one_and_the_extra(install, words, package):
    source = f"{only_what_comes_with(install)}\nsys.argv = {['gemvec', *words]}\nfrom gemvec.cli import main\nmain()"
    done = run(source)
    assert done.returncode == 1
    assert done.stderr == (f"error: This command needs {package}. {how_to_install('all')}\n")


def test_a_file_that_needs_an_extra_is_left_out_and_the_extra_named(tmp_path):
    for name in ("a.docx", "b.odt", "c.pptx", "d.xlsx", "e.epub", "f.ods", "g.odp"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("content.xml", "<a/>")
    (tmp_path / "z.txt").write_text("Text.")
    source = f"""{only_what_comes_with("milvus")}
from gemvec.documents import Document, Sources
for each in Sources([{str(tmp_path)!r}]):
    print(each.source[-6:], getattr(each, "reason", "read"))
"""
    done = run(source)
    *office, text = done.stdout.splitlines()
    assert len(office) == 7, done.stderr
    assert all("needs more packages" in line and how_to_install("documents") in line for line in office)
    assert text == "/z.txt read"


def test_a_bucket_without_the_package_for_it_is_refused_and_the_extra_named():
    source = f"""{only_what_comes_with("milvus")}
from gemvec.documents import Sources
from gemvec.errors import MissingDependency
try:
    Sources(["s3://bucket/docs"])
except MissingDependency as error:
    print(error)
"""
    done = run(source)
    assert done.stdout == f"An object store needs obstore. {how_to_install('objects')}\n", done.stderr


def test_the_demo_goes_on_without_googles_sdk():
    source = f"""{only_what_comes_with("server")}
from rich.console import Console
from gemvec.cli.demo import DemoReport, show_google_sdk
show_google_sdk(DemoReport(Console()), "http://127.0.0.1:9")
"""
    assert run(source).stdout == "- Google's SDK is not installed: pip install google-genai\n"


def test_the_lowest_versions_that_are_tested_are_allowed_and_complete():
    pins = [Requirement(line) for line in (ROOT / "requirements" / "lowest.txt").read_text().split() if "==" in line]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    for requirement in map(Requirement, [each for install in INSTALLS.values() for each in install]):
        if requirement.name in versions:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
    wanted = {canonicalize_name(Requirement(each).name) for name in ("all", "test", "base") for each in INSTALLS[name]}
    assert wanted - {"gemvec"} <= versions.keys()


def test_the_version_needs_no_package():
    source = f"{only_what_comes_with('base')}\nsys.argv = ['gemvec', '--version']\nfrom gemvec.cli import main\nmain()"
    assert run(source).stdout.startswith("gemvec 0.")


def test_no_page_and_no_error_installs_a_release_that_there_is_not():
    deployed = [path for path in ROOT.glob("deploy/**/*") if path.is_file()]
    pages = [*ROOT.glob("src/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *deployed]
    named = [page for page in pages if re.search(r"pip install '?gemvec", page.read_text())]
    assert named == []
