"""Servers share one PostgreSQL and one object store; see `shared_servers` for what must hold, and tools/servers.py."""

import pytest

from shared_servers import Killer, SharedServers, check_rest, run_batches

LEASE_SECONDS = 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_servers_are_killed_and_nothing_is_lost_nothing_twice_and_all_in_order(
    tmp_path, s3_environment, postgresql_url, s3_url
):
    settings = {"database_url": postgresql_url, "storage": s3_url, "lease_seconds": LEASE_SECONDS}
    with SharedServers(tmp_path, 2, s3_environment, delay_seconds=0.01, **settings) as servers:
        with Killer(servers, 2, kills_each=1, lease_seconds=LEASE_SECONDS) as killer:
            run_batches(servers, killer, batches=2, requests=600, clients=2)
        assert sum(servers.kills.values()) == 2
    check_rest(postgresql_url, s3_url)
