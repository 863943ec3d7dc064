"""Importing gemvec is light, and the base install is enough for the client."""

import subprocess
import sys

import pytest

HEAVY = {
    "google",
    "httpx",
    "milvus_lite",
    "onnx",
    "openvino",
    "orjson",
    "pymilvus",
    "rich",
    "sqlalchemy",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
    "uvicorn",
}

# Hides every package but the standard library's and the base install's.
ONLY_THE_BASE_INSTALL = """
import sys
from importlib.machinery import PathFinder

class BaseInstall:
    allowed = {"gemvec", "numpy", "msgspec", "certifi", *sys.stdlib_module_names}

    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, path, target) if name.partition(".")[0] in self.allowed else None

sys.meta_path[:] = [BaseInstall() if each is PathFinder else each for each in sys.meta_path]
"""


def loaded_by(source):
    outcome = subprocess.run(
        [sys.executable, "-c", f"import sys\n{source}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in outcome.stdout.split()}


@pytest.mark.parametrize(
    "source",
    [
        "import gemvec",
        "from gemvec import GeminiEmbeddingFunction",
        "from gemvec.pymilvus import model",
        "import gemvec; gemvec.GeminiEmbeddingFunction(api_key='key').dim",
    ],
)
def test_importing_gemvec_loads_nothing_heavy(source):
    assert not loaded_by(source) & HEAVY


def test_importing_gemvec_alone_does_not_even_load_numpy():
    assert not loaded_by("import gemvec") & {"numpy", "msgspec", "asyncio", "http"}


def test_the_base_install_is_enough_to_embed():
    source = f"""{ONLY_THE_BASE_INSTALL}
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
        "base_url='local' runs the model in this process, which needs openvino: pip install 'gemvec[server]'",
    ], outcome.stderr
    assert outcome.stderr.endswith("embedding 150/150 texts\n")


def test_the_command_line_without_its_packages_names_the_extra():
    source = f"{ONLY_THE_BASE_INSTALL}\nsys.argv = ['gemvec']\nfrom gemvec.cli import main\nmain()"
    outcome = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert outcome.stderr == "gemvec: the command line needs more packages: pip install 'gemvec[all]'\n"
