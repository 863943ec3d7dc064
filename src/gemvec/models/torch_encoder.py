"""Runs a model with sentence-transformers: `TorchEncoder`, on a GPU or on the processor's cores.

It takes token ids as the other encoders do, and gives them to the model's modules as sentence-transformers would. So
that nothing is lost on the way, the pipeline compares some vectors with `encode_texts` whenever a model is opened.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gemvec.embedding.embed import Float32Array
from gemvec.errors import ModelUnavailable, UnsupportedModel
from gemvec.logs import get_logger
from gemvec.models.cores import count_cores
from gemvec.models.micro_batches import PROCESSOR_TOKENS
from gemvec.models.record import ModelRecord
from gemvec.models.torch_device import choose_device, computes_in_bf16, is_card, load_torch
from gemvec.models.widths import padded_width
from gemvec.settings import Settings

_log = get_logger("models")

# The share of a card's free memory that micro-batches may take together; the rest is for other models and for torch.
_CARD_SHARE = 0.5
_MAX_CARD_TOKENS = 65_536
_PROBED_TOKENS = 4096
_SHOWN_NAMES = 3
# torch has no figures on free memory for mps, whose memory is the machine's.
_MPS_TOKENS = 8192


def open_torch_encoder(record: ModelRecord, folder: Path, settings: Settings) -> TorchEncoder:
    """Load a model.

    Args:
        record: the model.
        folder: the folder with its files.
        settings: `device`, `precision` and `trust_remote_code`.

    Raises:
        BadSetting: there is no such device.
        UnsupportedModel: sentence-transformers cannot load the model.
    """
    device = choose_device(settings.device)
    torch = load_torch()
    if device == "cpu" and torch.get_num_threads() > count_cores():  # torch does not know a container's limit
        torch.set_num_threads(count_cores())
    model = _load(folder, device, trusts_code=settings.trust_remote_code and bool(record.code))
    is_half = computes_in_bf16(device, settings.precision)
    _set_precision(model, is_half=is_half)
    because = f", because {record.refusal}" if record.refusal else ""
    _log.info(
        "%s is run by sentence-transformers %s on %s in %s%s",
        record.id, version("sentence-transformers"), device, "bf16" if is_half else "fp32", because,
    )  # fmt: skip
    lacking = _spoil_lacking(model)
    return TorchEncoder(model, device=device, window_tokens=record.window_tokens, lacking=lacking)


def _spoil_lacking(model: Any) -> list[str]:
    """Turn parameters that the model's file lacks into NaN, and return their names.

    transformers makes such parameters up and goes on. Some matter to no vector, such as a pooler below a mean; the
    others show as NaN in the vectors, which are refused then.
    """
    torch, network_class = load_torch(), import_module("transformers").PreTrainedModel
    networks = [each for each in model.modules() if isinstance(each, network_class)]
    lacking = {
        name: parameter
        for network in networks
        for name, parameter in network.named_parameters()
        if not getattr(parameter, "_is_hf_initialized", False)  # transformers sets this on what it has read
    }
    with torch.no_grad():
        for parameter in lacking.values():
            parameter.fill_(float("nan"))
    return sorted(lacking)


def _load(folder: Path, device: str, *, trusts_code: bool) -> Any:
    sentence_transformers: Any = import_module("sentence_transformers")
    try:
        with _without_progress():
            model = sentence_transformers.SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=trusts_code,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:  # whatever it says, it cannot load the model
        reason = next(iter(str(error).strip().splitlines()), "")
        raise UnsupportedModel(
            f"sentence-transformers cannot load {folder}: {type(error).__name__}: {reason}"
        ) from error
    return model.eval()


@contextmanager
def _without_progress() -> Generator[None]:
    """Keep transformers' bars off the terminal for a while."""
    logs: Any = import_module("transformers.utils.logging")
    had_bars = logs.is_progress_bar_enabled()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        if had_bars:
            logs.enable_progress_bar()


def _set_precision(model: Any, *, is_half: bool) -> None:
    """Let the network multiply in bf16 or fp32, whatever its weights are stored in.

    The matrices are in bf16 then; token vectors, sums and norms stay in fp32, without which the cosine would fall to
    0.997, and so does everything after the network.
    """
    torch, network = load_torch(), next(model.children())
    model.float()
    if not is_half:
        return
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(torch.bfloat16)
    network.forward = torch.autocast(model.device.type, torch.bfloat16)(network.forward)
    network.register_forward_hook(_widen)


def _widen(module: Any, inputs: Any, features: Any) -> Any:
    """Turn what a network gives into fp32."""
    del module, inputs
    torch = load_torch()
    for name, values in features.items():
        if torch.is_tensor(values) and values.dtype is torch.bfloat16:
            features[name] = values.float()
    return features


class TorchEncoder:
    """Runs one model; an `Encoder` whose streams share it."""

    def __init__(self, model: Any, *, device: str, window_tokens: int, lacking: Sequence[str] = ()) -> None:
        """Keep the model; `warm_up` comes next.

        Args:
            model: a SentenceTransformer on its device.
            device: where it is.
            window_tokens: longest input, including special tokens.
            lacking: parameters that are NaN because the model's file lacks them.

        Raises:
            UnsupportedModel: its tokenizer has no file that gemvec reads.
        """
        self._model: Any = model
        self._device = device
        self._window_tokens = window_tokens
        self._lacking = lacking
        tokenizer = model.tokenizer
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._backend is None:
            raise UnsupportedModel(f"Its tokenizer, {type(tokenizer).__name__}, is not one of the library tokenizers.")
        self._pads_left = tokenizer.padding_side == "left"
        self._padding_id = tokenizer.pad_token_id or 0
        self._has_types = "token_type_ids" in tokenizer.model_input_names
        self._native_dim = 0

    @property
    def native_dim(self) -> int:
        """Number of values in each vector; 0 before `warm_up`."""
        return self._native_dim

    def warm_up(self, token_ids: Sequence[Sequence[int]]) -> Float32Array:
        """Compute a first micro-batch; see `Encoder.warm_up`. The streams share one model, so once is enough.

        Raises:
            UnsupportedModel: the model gives no text vectors for token ids, or its file lacks weights that they need.
        """
        try:
            self._native_dim = self._encode(token_ids[:1], 0).shape[1]
        except UnsupportedModel:
            raise
        except Exception as error:  # the model's own code may raise anything
            raise UnsupportedModel(
                f"sentence-transformers gives no text vectors for token ids: {type(error).__name__}: {error}"
            ) from error
        return self.encode(token_ids, 0)

    def encode(self, token_ids: Sequence[Sequence[int]], stream: int) -> Float32Array:
        """Compute the vectors of one micro-batch; see `Encoder.encode`.

        Raises:
            ModelUnavailable: the memory of the card is too small for a single text.
        """
        del stream
        vectors = np.empty((len(token_ids), self._native_dim), np.float32)
        rows = sorted(range(len(token_ids)), key=lambda row: _count_marked(token_ids[row]))
        for marked, group in groupby(rows, key=lambda row: _count_marked(token_ids[row])):
            some = list(group)
            ids = [[each if each >= 0 else ~each for each in token_ids[row]] for row in some] if marked else None
            vectors[some] = self._encode_or_halve(ids or [token_ids[row] for row in some], marked)
        return vectors

    def encode_texts(self, texts: Sequence[str], prompt: str = "") -> Float32Array:
        """Return float32[texts, native_dim], as sentence-transformers itself makes them of texts and a prompt."""
        return np.asarray(
            self._model.encode(list(texts), prompt=prompt, show_progress_bar=False, convert_to_numpy=True), np.float32
        )

    def save_tokenizer(self, file: Path) -> None:
        """Write the tokenizer of the model, as sentence-transformers has set it up."""
        self._backend.save(str(file))

    def count_fitting_tokens(self, streams: int) -> int:
        """Return how many padded tokens a micro-batch may have, so that all streams' fit into the memory of the card.

        A micro-batch of the longest texts is computed to see what it takes.
        """
        if not is_card(self._device):
            return _MPS_TOKENS if self._device == "mps" else PROCESSOR_TOKENS
        torch = load_torch()
        width = min(self._window_tokens, _PROBED_TOKENS)
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        self._encode([[1] * width] * (_PROBED_TOKENS // width), 0)
        taken = max(torch.cuda.max_memory_allocated(self._device) - before, 1)
        free, _ = torch.cuda.mem_get_info(self._device)
        return fitting_tokens(free, taken / _PROBED_TOKENS, streams)

    def close(self) -> None:
        """Free the weights; no stream may be running."""
        self._model = self._backend = None
        gc.collect()  # modules refer to each other
        if is_card(self._device):
            load_torch().cuda.empty_cache()

    def _encode_or_halve(self, token_ids: Sequence[Sequence[int]], prompt_tokens: int) -> Float32Array:
        """Compute texts together, or in halves if the memory of the card is too small for all."""
        torch = load_torch()
        try:
            return self._encode(token_ids, prompt_tokens)
        except torch.OutOfMemoryError as error:
            if len(token_ids) == 1:
                raise ModelUnavailable(
                    f"The memory of {self._device} is too small for a text of {len(token_ids[0])} tokens."
                ) from error
        if is_card(self._device):
            torch.cuda.empty_cache()
        middle = len(token_ids) // 2
        halves = (token_ids[:middle], token_ids[middle:])
        return np.concatenate([self._encode_or_halve(each, prompt_tokens) for each in halves])

    def _encode(self, token_ids: Sequence[Sequence[int]], prompt_tokens: int) -> Float32Array:
        torch = load_torch()
        with torch.inference_mode():
            vectors = self._model(self._features(token_ids, prompt_tokens))["sentence_embedding"]
            cut = vectors[:, : self._model.truncate_dim] if self._model.truncate_dim else vectors
            found = np.asarray(cut.float().cpu().numpy(), np.float32)
        if self._lacking and not np.isfinite(found).all():
            raise UnsupportedModel(
                "The model's file lacks weights that its vectors depend on. It has none for"
                f" {', '.join(self._lacking[:_SHOWN_NAMES])}{' and more' * (len(self._lacking) > _SHOWN_NAMES)}."
            )
        return found

    def _features(self, token_ids: Sequence[Sequence[int]], prompt_tokens: int) -> dict[str, Any]:
        """Return what sentence-transformers would make of the texts."""
        torch = load_torch()
        width = min(padded_width(max(map(len, token_ids))), self._window_tokens)
        ids = np.full((len(token_ids), width), self._padding_id, np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(token_ids):
            place = slice(width - len(each), None) if self._pads_left else slice(len(each))
            ids[row, place], mask[row, place] = each, 1
        features = {"input_ids": ids, "attention_mask": mask}
        if self._has_types:
            features["token_type_ids"] = np.zeros_like(ids)
        sent: dict[str, Any] = {name: torch.from_numpy(each).to(self._device) for name, each in features.items()}
        return sent | ({"prompt_length": prompt_tokens} if prompt_tokens else {})


def _count_marked(token_ids: Sequence[int]) -> int:
    """Return how many ids at the start are those of the prompt, marked as `windows.mark_prompt` does."""
    return next((place for place, each in enumerate(token_ids) if each >= 0), len(token_ids))


def fitting_tokens(free_bytes: int, bytes_per_token: float, streams: int) -> int:
    """Return a power of two: the padded tokens of a micro-batch that fits into a card's memory beside the others'.

    >>> fitting_tokens(80 * 2**30, 200_000, 2)
    65536
    >>> fitting_tokens(8 * 2**30, 200_000, 2)
    8192
    """
    fitting = max(1.0, _CARD_SHARE * free_bytes / streams / bytes_per_token)
    return max(PROCESSOR_TOKENS, min(_MAX_CARD_TOKENS, 2 ** int(np.log2(fitting))))
