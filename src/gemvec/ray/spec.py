"""Which cluster is meant and what its actors are like, from settings: `parse_address`, `check_ray`, `make_spec`."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from gemvec.embedding.embedder import Embedder
from gemvec.errors import BadSetting, MissingDependency
from gemvec.ray.messages import ClusterSpec
from gemvec.ray.node import identity, open_models, portable
from gemvec.settings import Settings

_PORTS = 2**16


def is_address(text: str) -> bool:
    """Whether a text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and not {"/", " "} & set(host) and port.isascii() and port.isdigit() and int(port) < _PORTS


def check_ray(settings: Settings, flag: str) -> None:
    """Make sure, before anything is fetched, that a cluster can be used.

    Args:
        settings: say what its actors are like.
        flag: what asks for a cluster.

    Raises:
        BadSetting: fewer actors are allowed than are to be kept.
        MissingDependency: Ray is not installed.
    """
    if settings.ray_min_actors > settings.ray_max_actors:
        raise BadSetting(
            f"--ray-min-actors has value {settings.ray_min_actors}: must be at most --ray-max-actors,"
            f" which is {settings.ray_max_actors}."
        )
    if find_spec("ray") is None:
        raise MissingDependency(f"{flag} needs Ray.", extra="ray")


def make_spec(settings: Settings, embedder: Embedder, address: str, *, waits_for_room: bool = False) -> ClusterSpec:
    """Return which cluster to join, and what its actors are like.

    Args:
        settings: name the models that actors open.
        embedder: has the same models in this process.
        address: HOST:PORT, or `AUTO`.
        waits_for_room: see `ClusterSpec`.
    """
    return ClusterSpec(
        address=address,
        open_embedder=partial(open_models, portable(settings, settings.ray_actor_cpus)),
        weights={model.name: model.weights for model in embedder.list_models()},
        identity=identity(),
        min_actors=settings.ray_min_actors,
        max_actors=settings.ray_max_actors,
        cpus=settings.ray_actor_cpus,
        gpus=settings.ray_actor_gpus,
        waits_for_room=waits_for_room,
    )
