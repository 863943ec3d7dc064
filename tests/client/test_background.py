"""What only a process of its own can show: exits without warnings, forks, interrupts, and connections let go.

Every child runs with warnings as errors and Python's development mode, which reports whatever is left open.
"""

import asyncio
import gc
import signal
import subprocess
import sys

import pytest

from gemvec import GeminiEmbeddingFunction
from gemvec.client.background import arun, background_loop, run
from idle_connections import idle_connections

OPEN = "from gemvec import GeminiEmbeddingFunction\nfunction = GeminiEmbeddingFunction(base_url={url!r})\n"


def start(server, source):
    program = OPEN.format(url=server.url) + source
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process):
    """Wait for the end of a child, which must be a good one, and return what it printed."""
    out, err = process.communicate(timeout=60)
    # asyncio's debug mode reports what takes long, which on a busy machine anything may.
    complaints = [line for line in err.splitlines() if not line.startswith("Executing <")]
    assert (process.returncode, complaints) == (0, []), err
    return out


def test_a_process_that_forgets_to_close_exits_without_warnings(server):
    assert output_of(start(server, "print(len(function.encode_documents(['a'] * 150)))")) == "150\n"


def test_a_process_that_only_used_asyncio_exits_without_warnings(server):
    source = "import asyncio\nprint(len(asyncio.run(function.aencode_queries(['a']))))"
    assert output_of(start(server, source)) == "1\n"


def test_a_process_that_ends_in_the_middle_of_a_call_exits_at_once(server):
    server.delay_of = lambda texts: 60
    source = """
import sys, threading
threading.Thread(target=lambda: function.encode_queries(["a"]), daemon=True).start()
sys.stdin.read()
"""
    process = start(server, source)
    assert server._has_request.wait(60)
    process.communicate(timeout=50)  # ends its standard input
    assert process.returncode == 0


def test_functions_work_in_forked_children_and_go_on_in_the_parent(server):
    source = """
import os
before = function.encode_queries(["a"])[0]
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        same = (function.encode_queries(["a"])[0] == before).all()
        raise SystemExit(0 if same else 1)
    children.append(child)
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(len(function.encode_queries(["a"])))
"""
    assert output_of(start(server, source)) == "0\n0\n0\n1\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_functions_may_be_handed_to_worker_processes(server, method, tmp_path):
    (tmp_path / "worker.py").write_text(
        "def encode(function, text):\n    return function.encode_queries([text])[0][0]\n"
    )
    source = f"""
import multiprocessing, sys
sys.path.insert(0, {str(tmp_path)!r})
import worker
if __name__ == "__main__":
    expected = worker.encode(function, "a")
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        results = pool.starmap(worker.encode, [(function, "a")] * 4)
        pool.close()
        pool.join()
    print(results == [expected] * 4)
"""
    assert output_of(start(server, source)) == "True\n"


def test_an_interrupt_ends_a_waiting_call(server):
    server.delay_of = lambda texts: 60
    source = """
try:
    function.encode_queries(["a"])
except KeyboardInterrupt:
    print("interrupted")
"""
    process = start(server, source)
    assert server._has_request.wait(60)
    process.send_signal(signal.SIGINT)
    assert output_of(process) == "interrupted\n"


def test_a_freed_function_lets_its_connections_go(server):
    function = GeminiEmbeddingFunction(base_url=server.url)
    function.encode_queries(["a"])
    embedder = function.client
    transport = embedder._api.transport
    assert len(idle_connections(transport)) == 1
    del function
    gc.collect()

    async def look():
        return idle_connections(transport)

    assert background_loop().submit(look()).result() == []
    assert embedder not in background_loop()._adopted


def test_waiting_for_itself_is_an_error():
    async def wait_for_myself():
        return run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="cannot wait for itself"):
        run(wait_for_myself())


def test_work_may_be_awaited_from_the_loop_itself():
    async def inner():
        return 5

    async def outer():
        return await arun(inner())

    assert run(outer()) == 5
