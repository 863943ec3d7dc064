"""Kill servers that share one PostgreSQL and one object store, and PostgreSQL, while clients have batches computed.

python tools/servers.py [--servers 3] [--kills 30] [--database-kills 10] [--batches 40] [--requests 2500] [--json FILE]

Every client uses another server for each call. What is checked is in tests/shared_servers.py; the first violation ends
the run with its message. PostgreSQL and the S3 server are started here, on this machine only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from moto.server import ThreadedMotoServer  # noqa: E402 - after the path, like the others

from databases import PostgreSQLServer, find_programs  # noqa: E402 - found through the line above
from shared_servers import Killer, SharedServers, check_rest, run_batches  # noqa: E402 - likewise

LEASE_SECONDS = 5.0


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """Run an S3 server with a bucket; yield the variables by which a process finds it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
    yield {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    server.stop()


@contextmanager
def database() -> Iterator[PostgreSQLServer]:
    """Run PostgreSQL."""
    user = next((each.pw_name for each in pwd.getpwall() if each.pw_name in {"postgres", "nobody"}), None)
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    server = PostgreSQLServer(next(iter(find_programs())), folder, user if os.geteuid() == 0 else None)
    server.create()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def main() -> None:
    """Run, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=30, help="of each server")
    parser.add_argument("--database-kills", type=int, default=10)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--requests", type=int, default=2500, help="of each batch")
    parser.add_argument("--json", type=Path, help="where the result goes")
    options = parser.parse_args()
    started = time.monotonic()
    with object_store() as environment, database() as postgresql, tempfile.TemporaryDirectory() as folder:
        os.environ |= environment  # noqa: TID251 - for `check_rest`, in this process
        every = max(1, options.servers * options.kills // max(1, options.database_kills))
        database_kills = 0

        def kill_database(left: int) -> None:
            nonlocal database_kills
            print(f"{left} kills to go", flush=True)
            if left % every == 0 and database_kills < options.database_kills:
                postgresql.restart()
                database_kills += 1

        settings = {"database_url": postgresql.url, "storage": "s3://bucket/store", "lease_seconds": LEASE_SECONDS}
        with SharedServers(Path(folder), options.servers, environment, delay_seconds=0.02, **settings) as servers:
            killer = Killer(
                servers, options.servers, kills_each=options.kills, lease_seconds=LEASE_SECONDS, also=kill_database
            )
            with killer:
                counts = run_batches(servers, killer, batches=options.batches, requests=options.requests)
        check_rest(postgresql.url, "s3://bucket/store")
    result = {
        "servers": options.servers,
        "server_kills": sum(servers.kills.values()),
        "database_kills": database_kills,
        **counts,
        "violations": 0,
        "seconds": round(time.monotonic() - started),
        "python": platform.python_version(),
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True, cwd=ROOT).strip(),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
