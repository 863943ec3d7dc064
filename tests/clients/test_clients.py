"""Every client our users already have works against `gemvec serve` by its own documented setting, unpatched.

Each runs as a process of its own, in an environment with its own pins, and does what its users do: one text, many, task
types, dimensions, more than a hundred texts, an error, and batches and files where it has them.

    pytest -m clients
"""

import json
import os
import subprocess
import sys

import pytest

from clients.catalogue import CLIENTS
from clients.environments import HERE, node_folder, python_of

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

# What a client must never see: the developer's own keys and addresses.
_FOREIGN = ("GEMVEC_", "GEMINI_", "GOOGLE_", "OPENAI_")


def environ_for(client, server, folder):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    environ["MEM0_DIR"] = str(folder)
    environ["GEMINI_API_KEY"] = environ["GOOGLE_API_KEY"] = "any-key"
    environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    environ["ANONYMIZED_TELEMETRY"] = environ["HAYSTACK_TELEMETRY_ENABLED"] = environ["MEM0_TELEMETRY"] = "False"
    environ["GRAPHITI_TELEMETRY_ENABLED"] = "false"
    if client.variable:
        environ[client.variable] = server
    return environ


def command_for(client):
    if client.program.endswith(".mjs"):
        folder = node_folder()
        if folder is None:
            pytest.skip("Node.js with npm is not on this machine")
        return ["node", str(folder / client.program)]
    try:
        python = python_of(client.requirements) if client.requirements else sys.executable
    except subprocess.CalledProcessError as error:
        if client.may_be_missing:
            pytest.skip(f"{client.name} cannot be installed here: {error}")
        raise
    return [str(python), str(HERE / "programs" / client.program)]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: f"{client.name}-{client.version}")
def test_client_works_unchanged(client, server, results, tmp_path):
    command = command_for(client)
    log = tmp_path / "stderr.txt"
    with log.open("w") as errors:
        done = subprocess.run(
            [*command, server],
            cwd=tmp_path,  # pymilvus.model leaves a file behind in the current folder
            env=environ_for(client, server, tmp_path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=600,
            check=False,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]
    assert lines, log.read_text()
    results.append({"client": client.name, "version": client.version, "how": client.how, "checks": lines})
    known = dict(client.known)
    failed = {line["check"]: line["detail"] for line in lines if not line["ok"]}
    assert failed.keys() == known.keys(), f"{failed}\n{log.read_text()}"
