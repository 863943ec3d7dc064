"""HAProxy before several servers: each request goes to the next server, without stickiness."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx

ABSENT = "HAProxy is not installed"
_CONFIGURATION = """
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend gemvec
  bind 127.0.0.1:{port}
  option forwardfor
  default_backend gemvec
backend gemvec
  balance roundrobin
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host gemvec
  http-response set-header x-served-by %s
{servers}
"""


def is_installed():
    """Say whether `running_balancer` can run; Debian's package is called haproxy."""
    return shutil.which("haproxy") is not None


def free_port():
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_balancer(urls, folder):
    """Run HAProxy before the servers at `urls`, for the length of a block; gives its address.

    Answers name the server that gave them in the header `x-served-by`: `s0`, `s1`, and so on.
    """
    port, path = free_port(), folder / "haproxy.cfg"
    lines = [f"  server s{number} {url.removeprefix('http://')} check inter 1s" for number, url in enumerate(urls)]
    path.write_text(_CONFIGURATION.format(port=port, servers="\n".join(lines)))
    with (folder / "haproxy.log").open("w") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", path], stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process, folder / "haproxy.log")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(address, process, log):
    for _ in range(300):
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"the balancer reaches no server: {log.read_text()}")
