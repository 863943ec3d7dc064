"""`--ray [HOST:PORT]`: a command's texts are embedded on a Ray cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gemvec.cli.server import announce
from gemvec.errors import BadSetting
from gemvec.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from gemvec.documents import Splitter
    from gemvec.embedding.embedder import Embedder
    from gemvec.milvus.cluster_cutter import ClusterCutter
    from gemvec.ray.embedder import RayEmbedder
    from gemvec.ray.messages import Notice

_FLAG = "--ray"

# The settings of actors that a command has flags for.
RAY_SETTINGS = ("ray_max_actors", "ray_actor_cpus", "ray_actor_gpus")

RayAddress = Annotated[
    str | None,
    typer.Option(
        _FLAG,
        metavar="[HOST:PORT]",
        help="Compute on a Ray cluster: the one that this machine is part of, or the one whose head is there.",
    ),
]


def fill_address(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with an address after each `--ray` that has none."""
    if _FLAG not in arguments:
        return list(arguments)
    from gemvec.ray.messages import AUTO

    end = arguments.index("--") if "--" in arguments else len(arguments)
    filled: list[str] = []
    for position, argument in enumerate(arguments):
        filled.append(argument)
        if argument == _FLAG and position < end and not _has_value(arguments[position + 1 : end]):
            filled.append(AUTO)
    return filled


def _has_value(rest: Sequence[str]) -> bool:
    """Whether what follows `--ray` is meant as its address, which may be empty; otherwise it is a text or a source."""
    from gemvec.ray.messages import AUTO
    from gemvec.ray.spec import is_address

    return bool(rest) and (rest[0] in {"", AUTO} or is_address(rest[0]) or rest[0].startswith("ray:"))


def check_address(settings: Settings, address: str, *, server: str | None) -> None:
    """Make sure, before anything is read or fetched, that a cluster can be used.

    Args:
        settings: say what its actors are like.
        address: what `--ray` has.
        server: the option that names another place; None for none.

    Raises:
        BadSetting: the address is not one, or another place is to compute too.
        MissingDependency: Ray is not installed.
    """
    from gemvec.ray.messages import AUTO
    from gemvec.ray.spec import check_ray, is_address

    if address != AUTO and not is_address(address):
        raise BadSetting(f"--ray has value {address!r}: expected nothing or HOST:PORT, such as 10.0.0.5:6379.")
    if server:
        raise BadSetting(f"--ray and {server} exclude each other: each says where to compute.")
    check_ray(settings, _FLAG)


async def join_cluster(settings: Settings, embedder: Embedder, address: str) -> RayEmbedder:
    """Return an embedder that computes on a cluster. Ctrl-C does not wait for a cluster that does not answer.

    Args:
        settings: name the model that actors open.
        embedder: has the same model in this process.
        address: HOST:PORT, or `auto`.

    Raises:
        ClusterUnavailable: the cluster cannot be joined.
    """
    from gemvec.ray.cluster import Cluster
    from gemvec.ray.embedder import RayEmbedder
    from gemvec.ray.spec import make_spec

    is_left = threading.Event()

    def join() -> RayEmbedder:
        spec = make_spec(settings, embedder, address, waits_for_room=True)
        return RayEmbedder(embedder, Cluster(spec, _say, is_left=is_left), pieces_in_flight=spec.pieces_in_flight)

    try:
        return await asyncio.to_thread(join)
    except asyncio.CancelledError:
        is_left.set()
        raise


def make_cutter(embedder: RayEmbedder, splitter: Splitter, tokenizer_file: Path | None) -> ClusterCutter:
    """Return what reads and cuts documents on the cluster of an embedder; called while the event loop runs.

    Args:
        embedder: has joined the cluster.
        splitter: how documents are cut.
        tokenizer_file: the splitter's; None for estimates.
    """
    from gemvec.milvus.cluster_cutter import ClusterCutter

    return ClusterCutter(
        embedder.cluster,
        asyncio.get_running_loop(),
        splitter,
        tokenizer_file,
        jobs_in_flight=embedder.pieces_in_flight,
        say=announce,
    )


def _say(notice: Notice) -> None:
    where = f" (node {notice.node})" if notice.node else ""
    announce(f"Ray: {notice.message}{where}: {notice.reason}")
