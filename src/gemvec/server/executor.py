"""Where the batches of a server are computed: `open_executor` reads `--executor`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from gemvec.batches.executor import Executor, LocalExecutor, ProcessExecutor
from gemvec.embedding.embedder import Embedder
from gemvec.errors import BadSetting, MissingDependency
from gemvec.models.catalogue import find_known
from gemvec.models.engines import engine_of
from gemvec.models.naming import find_named_record, split_name
from gemvec.settings import Settings

_LOCAL, _RAY = "local", "ray"


def check_executor(settings: Settings) -> None:
    """Make sure, before anything is fetched, that `--executor` can be what it says.

    Raises:
        BadSetting: it names no place, or computes what this server passes on.
        MissingDependency: a package is missing.
    """
    address = _ray_address(settings.executor)
    if address is None:
        return
    if settings.upstream:
        raise BadSetting(
            f"--executor {settings.executor} computes with models; with --upstream {settings.upstream} there are none."
        )
    if settings.ray_min_actors > settings.ray_max_actors:
        raise BadSetting(
            f"--ray-min-actors has value {settings.ray_min_actors}: must be at most --ray-max-actors,"
            f" which is {settings.ray_max_actors}."
        )
    if find_spec("ray") is None:
        raise MissingDependency(f"--executor {settings.executor} needs Ray.", extra="ray")


def open_executor(settings: Settings, embedder: Embedder) -> Executor:
    """Return where chunks of batches run; on this machine, models that are small and fast have processes for them.

    Raises:
        ClusterUnavailable: the cluster cannot be joined.
    """
    address = _ray_address(settings.executor)
    light = tuple(name for name in settings.model if _is_light(name))
    ids = {find_named_record(name).id for name in light}
    fast = {model.weights for model in embedder.list_models() if model.model_id in ids}
    if address is not None:
        return _open_ray(settings, embedder, address, fast)
    if not fast:
        return LocalExecutor(embedder)
    from gemvec.models.local import open_embedder

    open_light = partial(open_embedder, replace(settings, model=light, device=""))  # which is of networks
    return ProcessExecutor(embedder, open_light, weights=fast)


def _open_ray(settings: Settings, embedder: Embedder, address: str, fast: set[str]) -> Executor:
    from gemvec.batches.ray.executor import RayExecutor
    from gemvec.batches.ray.messages import ClusterSpec
    from gemvec.batches.ray.node import identity, open_models, portable

    spec = ClusterSpec(
        address=address,
        open_embedder=partial(open_models, portable(settings, settings.ray_actor_cpus)),
        weights={model.name: model.weights for model in embedder.list_models()},
        identity=identity(),
        min_actors=settings.ray_min_actors,
        max_actors=settings.ray_max_actors,
        cpus=settings.ray_actor_cpus,
        gpus=settings.ray_actor_gpus,
    )
    return RayExecutor(spec, fast=fast)


def _ray_address(executor: str) -> str | None:
    """Return the address of the Ray cluster, `auto` for the one of this machine; None for no cluster.

    Raises:
        BadSetting: it is neither.
    """
    kind, colon, address = executor.partition(":")
    if executor == _LOCAL:
        return None
    if executor == _RAY:
        return "auto"
    host, _, port = address.rpartition(":")
    if kind != _RAY or not colon or not host or "/" in host or not port.isdigit():
        raise BadSetting(
            f"--executor has value {executor!r}: expected local, ray or ray:HOST:PORT, such as ray:10.0.0.5:6379."
        )
    return address


def _is_light(name: str) -> bool:
    record = find_known(split_name(name)[1])
    return record is not None and engine_of(record).is_light
