"""`gemvec mcp` as an assistant sees it: the protocol's own client, over standard input and output and over HTTP."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from mcp import Client, StdioServerParameters
from typer.testing import CliRunner

from gemvec.cli.app import app

PROGRAM = "import sys; from gemvec.cli.app import run; sys.exit(run())"


@pytest.fixture
def indexed(tmp_path, monkeypatch, tiny_model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "batches.md").write_text("# Batches\n\nA batch is a job.\n\n## Cancel\n\nSend cancel.")
    (tmp_path / "docs" / "files.md").write_text("---\nlang: en\n---\n# Files\n\nUploaded files expire.")
    outcome = CliRunner().invoke(app, ["index", "docs", "--model", str(tiny_model)])
    assert outcome.exit_code == 0, outcome.output
    return tmp_path


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def use(place):
    """Call both tools, rightly and wrongly, and return what they answer."""
    async with Client(place) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        found = await client.call_tool("search", {"query": "cancel a batch", "limit": 3})
        filtered = await client.call_tool("search", {"query": "files", "where": 'metadata["lang"] == "en"'})
        document = await client.call_tool("fetch", {"id": "docs/batches.md"})
        wrong = await client.call_tool("fetch", {"id": "docs/nope.md"})
    return tools, found, filtered, document, wrong


def check(answers):
    tools, found, filtered, document, wrong = answers
    assert set(tools) == {"search", "fetch"}
    assert all(tool.annotations.read_only_hint for tool in tools.values())
    results = json.loads(found.content[0].text)["results"]
    assert {each["id"] for each in results} == {"docs/batches.md", "docs/files.md"}
    assert set(results[0]) == {"id", "title", "heading", "source", "position", "text", "score", "metadata"}
    assert [each["id"] for each in json.loads(filtered.content[0].text)["results"]] == ["docs/files.md"]
    assert json.loads(document.content[0].text)["text"] == "# Batches\n\nA batch is a job.\n\n## Cancel\n\nSend cancel."
    assert wrong.is_error
    assert "'docs/nope.md'" in wrong.content[0].text


def command_in(folder):
    return StdioServerParameters(
        command=sys.executable, args=["-c", PROGRAM, "mcp"], env=dict(os.environ), cwd=str(folder)
    )


def test_an_assistant_searches_and_fetches_over_standard_input_and_output(indexed):
    check(asyncio.run(use(command_in(indexed))))


def test_an_assistant_is_told_that_words_decide_where_the_model_does_not_know_the_script_of_a_query(
    indexed, tiny_model
):
    for name, text in {"other": "备份", "named": "The capital is 城市 as all say."}.items():
        (indexed / "docs" / f"{name}.txt").write_text(text)
    assert CliRunner().invoke(app, ["index", "docs", "--model", str(tiny_model)]).exit_code == 0

    async def search():
        async with Client(command_in(indexed)) as client:
            found = await client.call_tool("search", {"query": "城市"})
        return json.loads(found.content[0].text)

    found = asyncio.run(search())
    assert found["results"][0]["id"] == "docs/named.txt"
    assert "(Chinese)" in found["note"]
    assert "ordered by the words" in found["note"]


def test_an_assistant_searches_and_fetches_over_http(indexed, free_port):
    words = [sys.executable, "-c", PROGRAM, "mcp", "--http", "--port", str(free_port)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert f":{free_port}/mcp" in process.stderr.readline()
            check(asyncio.run(use_when_up(f"http://127.0.0.1:{free_port}/mcp")))
        finally:
            process.terminate()


async def use_when_up(url):
    deadline = time.monotonic() + 60
    while True:
        try:
            return await use(url)
        except Exception:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


def test_http_is_for_this_machine_only(indexed):
    outcome = CliRunner().invoke(app, ["mcp", "--http", "--host", "0.0.0.0"])
    assert "this machine only" in outcome.exception.message


def test_a_collection_that_does_not_exist_is_said_before_anything_is_served(indexed):
    outcome = CliRunner().invoke(app, ["mcp", "--collection", "nope"])
    assert "'nope'" in outcome.exception.message
