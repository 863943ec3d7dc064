"""Where the batches of a server are computed: `open_executor` reads `--executor`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gemvec.batches.executor import Executor, LocalExecutor, ProcessExecutor
from gemvec.embedding.embedder import Embedder
from gemvec.errors import BadSetting
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
    from gemvec.ray.spec import check_ray

    check_ray(settings, f"--executor {settings.executor}")


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

    open_light = partial(open_embedder, replace(settings, model=light, device=""))  # --device is for networks only
    return ProcessExecutor(embedder, open_light, weights=fast)


def _open_ray(settings: Settings, embedder: Embedder, address: str, fast: set[str]) -> Executor:
    from gemvec.ray.executor import RayExecutor
    from gemvec.ray.spec import make_spec

    return RayExecutor(make_spec(settings, embedder, address), fast=fast)


def _ray_address(executor: str) -> str | None:
    """Return the address of the Ray cluster, `auto` for the one of this machine; None for no cluster.

    Raises:
        BadSetting: it is neither.
    """
    kind, colon, address = executor.partition(":")
    if executor == _LOCAL:
        return None
    from gemvec.ray.messages import AUTO
    from gemvec.ray.spec import is_address

    if executor == _RAY:
        return AUTO
    if kind != _RAY or not colon or not is_address(address):
        raise BadSetting(
            f"--executor has value {executor!r}: expected local, ray or ray:HOST:PORT, such as ray:10.0.0.5:6379."
        )
    return address


def _is_light(name: str) -> bool:
    record = find_known(split_name(name)[1])
    return record is not None and engine_of(record).is_light
