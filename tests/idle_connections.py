"""What a transport keeps open between requests."""


def idle_connections(transport):
    """Return the connections that wait for the next request."""
    [manager] = transport._connections._managers.values()
    keys = manager.pools.keys()  # the pools themselves cannot be iterated over
    pools = [manager.pools[key] for key in keys]
    return [each for pool in pools for each in pool.pool.queue if each is not None and each.sock is not None]
