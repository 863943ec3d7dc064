"""Servers share one PostgreSQL and one object store; see `shared_servers` for what must hold, and tools/servers.py."""

import time

import pytest

from shared_servers import Kill, Killer, SharedServers, check_rest, run_batches

KILLS = [(0, Kill.RESTART), (0, Kill.AWAY), (1, Kill.PAUSE)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_servers_are_lost_and_nothing_is_lost_nothing_twice_and_all_in_order(
    tmp_path, far_store, postgresql_url, far_url
):
    settings = {"database_url": postgresql_url, "storage": far_url, "lease_seconds": 2}
    with SharedServers(tmp_path, 2, far_store.environment(), delay_seconds=0.01, **settings) as servers:
        with Killer(servers, KILLS, pause_seconds=0.2) as killer:
            run_batches(servers, killer, batches=2, requests=600, clients=2)
        assert set(killer.made) == set(Kill)
        while "took this one for dead; it joins again" not in servers.log():  # the pause may be the last that happens
            time.sleep(0.05)
    check_rest(postgresql_url, far_url)


def test_what_fails_while_a_server_is_killed_is_raised():
    with pytest.raises(AttributeError), Killer(None, KILLS, pause_seconds=0):
        pass
