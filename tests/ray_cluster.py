"""A Ray cluster on this machine, of small nodes that can be killed.

Start it before anything imports Ray: what is set here is read then.
"""

import contextlib
import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# By this variable the actors of this cluster are found among the processes of the machine.
_MARK = "GEMVEC_RAY_CLUSTER"
_NODE = {"object_store_memory": 80 * 2**20}


class RayCluster:
    """A head without cores, and nodes with one each."""

    def __init__(self, nodes=2):
        from ray.cluster_utils import Cluster

        self._mark = str(os.getpid())
        self._path = os.environ.get("PYTHONPATH", "")
        os.environ[_MARK] = self._mark
        os.environ["PYTHONPATH"] = f"{TESTS}{os.pathsep}{self._path}".rstrip(os.pathsep)  # of the tests' embedders
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **_NODE}
        )
        self.nodes = []
        for _ in range(nodes):
            self.add_node()

    @property
    def address(self):
        return self._cluster.address

    @property
    def logs(self):
        """The folder of everything that Ray writes."""
        return Path(self._cluster.head_node.get_session_dir_path())

    def add_node(self, cpus=1):
        node = self._cluster.add_node(num_cpus=cpus, **_NODE)
        self.nodes.append(node)
        return node

    def kill_node(self, node):
        """Kill a node and its actors, as if its machine were gone."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def list_actors(self):
        """Return the processes of the actors that hold the model."""
        found = []
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                mine = f"{_MARK}={self._mark}".encode() in command.with_name("environ").read_bytes().split(b"\0")
                if mine and command.read_bytes().startswith(b"ray::ChunkActor"):
                    found.append(int(command.parent.name))
        return found

    def close(self):
        self._cluster.shutdown()
        del os.environ[_MARK]
        os.environ["PYTHONPATH"] = self._path


@pytest.fixture(scope="session")
def cluster():
    """A cluster of two nodes; a test that kills one adds another."""
    opened = RayCluster()
    yield opened
    opened.close()
