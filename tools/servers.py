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
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from databases import running_postgresql  # noqa: E402 - found through the line above
from object_stores import running_s3  # noqa: E402 - as above
from shared_servers import Kill, Killer, SharedServers, check_rest, run_batches  # noqa: E402 - as above

LEASE_SECONDS = 5.0


def list_kills(servers: int, kills_each: int) -> list[tuple[int, Kill]]:
    """Return the kills in random order: of each ten of a server, seven restart, two stay away and one is a pause."""
    kinds = [Kill.RESTART] * 7 + [Kill.AWAY] * 2 + [Kill.PAUSE]
    kills = [(index, kinds[number % len(kinds)]) for index in range(servers) for number in range(kills_each)]
    random.Random(0).shuffle(kills)
    return kills


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
    kills = list_kills(options.servers, options.kills)
    every = max(1, len(kills) // max(1, options.database_kills))
    database_kills = 0
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running_s3() as s3, running_postgresql() as postgresql, tempfile.TemporaryDirectory() as folder:
        environment = s3.environment()
        s3.make_bucket()
        os.environ |= environment  # noqa: TID251 - for `check_rest`, in this process

        def kill_database(left: int) -> None:
            nonlocal database_kills
            print(f"{left} kills to go", flush=True)
            if left % every == 0 and database_kills < options.database_kills:
                postgresql.restart()
                database_kills += 1

        settings = {"database_url": postgresql.url, "storage": "s3://bucket/store", "lease_seconds": LEASE_SECONDS}
        with (
            SharedServers(Path(folder), options.servers, environment, delay_seconds=0.02, **settings) as servers,
            Killer(servers, kills, also=kill_database) as killer,
        ):
            counts = run_batches(servers, killer, batches=options.batches, requests=options.requests)
        check_rest(postgresql.url, "s3://bucket/store")
    result = {
        "servers": options.servers,
        "server_kills": {kind.name.lower(): killer.made[kind] for kind in Kill},
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
