"""Messages are read in several threads at once, from the first one on."""

import subprocess
import sys
import textwrap

PROGRAM = """
    import sys, threading
    from gemvec.wire import usual
    from gemvec.wire.jsonl import parse_request_line

    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    line = b'{"key": "a", "request": {"content": {"parts": [{"text": "hello"}]}, "taskType": "RETRIEVAL_QUERY"}}'
    barrier = threading.Barrier(4)

    def read():
        barrier.wait()
        assert parse_request_line(line).label == {"key": "a"}

    for _ in range(30):
        usual._made.clear()
        usual._derive.cache_clear()
        threads = [threading.Thread(target=read) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
"""


def test_the_first_messages_of_a_kind_may_come_in_several_threads():
    """A fault here ends the process, so it has one of its own."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
