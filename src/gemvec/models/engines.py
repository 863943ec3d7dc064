"""What runs weights: one `Engine` for each kind of weights, and `engine_of`.

The engine decides what differs between kinds of weights: how they are opened, the number of streams, the size of
micro-batches, and special tokens. OpenVINO is imported when an engine that needs it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gemvec.embedding.embed import Float32Array
from gemvec.embedding.without_tokens import refuse_token_vectors
from gemvec.errors import UnsupportedModel
from gemvec.models.cores import count_cores
from gemvec.models.encoder import Encoder
from gemvec.models.engine_choice import is_torch_installed, or_torch
from gemvec.models.micro_batches import PROCESSOR_TOKENS
from gemvec.models.modules import read_document
from gemvec.models.networks import check_config
from gemvec.models.record import EngineName, ModelRecord
from gemvec.models.tensors import Tensors
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.models.graph import Graph

_STATIC_TOKEN_BUDGET = 65_536
# Memory of one stream of a network beside the weights: the kernels it keeps for shapes of micro-batches, and the values
# between layers. Measured with networks of 6 and 12 layers after micro-batches of every width: 70 to 105 MiB.
_STREAM_BYTES = 96 * 2**20
# Memory of weights with 4-bit matrices, as a multiple of their file: the matrices of the layers are unpacked.
_UNPACKED_SHARE = 3


class Engine(Protocol):
    """One way to run weights."""

    @property
    def has_network(self) -> bool:
        """Whether it runs a network, which gets special tokens such as [CLS]; else rows of a table are averaged."""
        ...

    @property
    def brings_tokenizer(self) -> bool:
        """Whether its encoders are `TextEncoder`s."""
        ...

    @property
    def is_light(self) -> bool:
        """Whether computing a text costs less than reading its JSON, so that more processes make batches faster."""
        ...

    def count_streams(self, settings: Settings) -> int:
        """Return how many micro-batches are computed at the same time."""
        ...

    def token_budget(self, settings: Settings, encoder: Encoder) -> int:
        """Return the most tokens in a micro-batch of an encoder that it opened, with padding."""
        ...

    def count_weights(self, files: Sequence[Path], settings: Settings) -> int:
        """Return an estimate of the bytes of memory that weights take when they are loaded, and streams beside them.

        Args:
            files: the files with the weights, and others that are small.
            settings: `precision`, `device` and `streams`.
        """
        ...

    def check(self, record: ModelRecord, folder: Path) -> None:
        """Check what a model's description says, without its weights.

        Raises:
            UnsupportedModel: it describes something that this engine does not run.
        """
        ...

    def import_modules(self) -> None:
        """Import what `open` needs, so that it need not."""
        ...

    def open(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        """Load the weights; `warm_up` comes next.

        Args:
            record: the model.
            folder: the folder with its files.
            settings: `precision`, `streams`, `device` and `trust_remote_code`.

        Raises:
            UnsupportedModel: the files do not describe a model that this engine runs.
        """
        ...

    def open_tokens(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        """Load the weights of the network alone, for the vectors of tokens; see `open`.

        Raises:
            InvalidRequest: there are no vectors of single tokens.
        """
        ...


def engine_of(record: ModelRecord) -> Engine:
    """Return the engine that runs a model."""
    return _ENGINES[record.engine]


def warm_up(encoder: Encoder, record: ModelRecord, folder: Path, token_ids: Sequence[Sequence[int]]) -> Float32Array:
    """Compute a first micro-batch with an encoder that was just opened.

    Args:
        encoder: what `Engine.open` or `Engine.open_tokens` returned.
        record: its model.
        folder: the folder with the model's files.
        token_ids: the ids of each text, as for `Encoder.encode`.

    Returns:
        What `Encoder.encode` returns for them.

    Raises:
        UnsupportedModel: the weights cannot be run.
    """
    try:
        return encoder.warm_up(token_ids)
    except RuntimeError as error:
        raise _cannot_be_run(record, folder, error) from error


def _cannot_be_run(record: ModelRecord, folder: Path, error: RuntimeError) -> UnsupportedModel:
    return UnsupportedModel(f"{folder / record.weights_path} cannot be run: {error}")


@dataclass(frozen=True, slots=True)
class _OpenVino:
    """Runs a network's graph on the processor's cores."""

    read: Callable[[ModelRecord, Path], Graph]
    read_tokens: Callable[[ModelRecord, Path], Graph]
    check_description: Callable[[ModelRecord, Path], None]
    has_network: bool = True
    is_light: bool = False
    brings_tokenizer: bool = False

    def check(self, record: ModelRecord, folder: Path) -> None:
        self.check_description(record, folder)

    def count_streams(self, settings: Settings) -> int:
        return settings.streams or count_cores()

    def token_budget(self, settings: Settings, encoder: Encoder) -> int:
        del encoder
        return settings.token_budget or PROCESSOR_TOKENS

    def count_weights(self, files: Sequence[Path], settings: Settings) -> int:
        endings = {path.suffix for path in files}
        is_packed = ".bin" in endings and ".xml" not in endings  # else the .bin is that of an OpenVINO graph
        return _size(files) * (_UNPACKED_SHARE if is_packed else 1) + _STREAM_BYTES * self.count_streams(settings)

    def import_modules(self) -> None:
        import_module("gemvec.models.openvino")

    def open(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        return self._open(self.read, record, folder, settings)

    def open_tokens(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        return self._open(self.read_tokens, record, folder, settings)

    def _open(
        self, read: Callable[[ModelRecord, Path], Graph], record: ModelRecord, folder: Path, settings: Settings
    ) -> Encoder:
        from gemvec.models.openvino import OpenVinoEncoder

        self.check(record, folder)
        try:
            return OpenVinoEncoder(
                read(record, folder),
                window_tokens=record.window_tokens,
                precision=settings.precision,
                streams=self.count_streams(settings),
            )
        except RuntimeError as error:  # OpenVINO raises this if shapes do not fit or a file is incomplete
            raise _cannot_be_run(record, folder, error) from error


@dataclass(frozen=True, slots=True)
class _Static:
    """Averages rows of a table: no network, no padding, one stream, large micro-batches."""

    has_network: bool = False
    is_light: bool = True
    brings_tokenizer: bool = False

    def check(self, record: ModelRecord, folder: Path) -> None:
        del record, folder

    def count_streams(self, settings: Settings) -> int:
        del settings
        return 1

    def token_budget(self, settings: Settings, encoder: Encoder) -> int:
        del settings, encoder
        return _STATIC_TOKEN_BUDGET

    def count_weights(self, files: Sequence[Path], settings: Settings) -> int:
        del settings
        return _size(files)

    def import_modules(self) -> None:
        import_module("gemvec.models.static")

    def open(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        del settings
        from gemvec.models.static import StaticEncoder

        return StaticEncoder(folder / record.weights_path, record.modules)

    def open_tokens(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        del record, folder, settings
        refuse_token_vectors("It has no network, only a table with a fixed vector for each token.")


@dataclass(frozen=True, slots=True)
class _Torch:
    """Lets sentence-transformers run a network, on a GPU or on the processor's cores."""

    has_network: bool = True
    is_light: bool = False
    brings_tokenizer: bool = True

    def check(self, record: ModelRecord, folder: Path) -> None:
        """Nothing is known of a network that only sentence-transformers runs before it is loaded."""

    def count_streams(self, settings: Settings) -> int:
        from gemvec.models.torch_device import count_streams

        return settings.streams or count_streams(settings.device)

    def token_budget(self, settings: Settings, encoder: Encoder) -> int:
        from gemvec.models.torch_encoder import TorchEncoder

        assert isinstance(encoder, TorchEncoder)
        return settings.token_budget or encoder.count_fitting_tokens(self.count_streams(settings))

    def count_weights(self, files: Sequence[Path], settings: Settings) -> int:
        from gemvec.models.torch_device import choose_device, computes_in_bf16

        is_half = computes_in_bf16(choose_device(settings.device), settings.precision)
        weights = [Tensors(path).count_numbers() for path in files if path.suffix == ".safetensors"]
        counts = [(name, count) for each in weights for name, count in each.items()]
        return sum(count * (2 if is_half and "embed" not in name else 4) for name, count in counts)

    def import_modules(self) -> None:
        import_module("sentence_transformers")

    def open(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        from gemvec.models.torch_encoder import open_torch_encoder

        return open_torch_encoder(record, folder, settings)

    def open_tokens(self, record: ModelRecord, folder: Path, settings: Settings) -> Encoder:
        del record, folder, settings
        refuse_token_vectors("sentence-transformers runs it here (--engine torch), which gives vectors of whole texts.")


def _size(files: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _build(record: ModelRecord, folder: Path) -> Graph:
    from gemvec.models.text_graph import build_text_graph

    return build_text_graph(record, folder)


def _read(record: ModelRecord, folder: Path) -> Graph:
    from gemvec.models.text_graph import read_text_graph

    return read_text_graph(record, folder)


def _build_tokens(record: ModelRecord, folder: Path) -> Graph:
    from gemvec.models.text_graph import build_token_graph

    return build_token_graph(record, folder)


def _read_tokens(record: ModelRecord, folder: Path) -> Graph:
    from gemvec.models.text_graph import read_token_graph

    return read_token_graph(record, folder)


def _check_network(record: ModelRecord, folder: Path) -> None:
    document = read_document(folder / record.network_path, "config.json")
    if document is None:
        return
    try:
        check_config(document)
    except UnsupportedModel as refusal:
        if record.task != "embed" or is_torch_installed():
            raise
        raise or_torch(refusal) from refusal


def _check_nothing(record: ModelRecord, folder: Path) -> None:
    """A graph says nothing before it is read."""


_ENGINES: Mapping[EngineName, Engine] = {
    "network": _OpenVino(_build, _build_tokens, _check_network),
    "onnx": _OpenVino(_read, _read_tokens, _check_nothing),
    "openvino": _OpenVino(_read, _read_tokens, _check_nothing),
    "static": _Static(),
    "torch": _Torch(),
}
