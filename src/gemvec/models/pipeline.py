"""One loaded model, from requests to vectors: checks, prompt, tokens, windows, scheduler, encoder, dimensionality.

Each step is its own module; this one joins them. Nothing here waits, and it can be called in any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, cast

import numpy as np
from msgspec import structs

from gemvec.embedding.checks import check_request
from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array, Tokens
from gemvec.embedding.gemini_names import GEMINI_NAMES
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InputTooLong, InvalidRequest, UnsupportedModel
from gemvec.figures import Figure
from gemvec.models.encoder import TextEncoder
from gemvec.models.engines import engine_of, warm_up
from gemvec.models.pinned_vectors import MIN_COSINE, PINNED_TEXTS, check_pinned_vectors
from gemvec.models.prompts import apply_prompt
from gemvec.models.scheduler import NOTHING_DONE, Load, Scheduler
from gemvec.models.tokenizer import Tokenizer, load_tokenizer
from gemvec.models.vectors import fit_dimensions, normalise
from gemvec.models.weights import LoadedModel
from gemvec.models.windows import Window, mark_prompt, merge_windows
from gemvec.settings import Settings

# Token limit of a model under its own name if it embeds long texts in windows: the largest of the Gemini names.
MAX_TEXT_TOKENS = 8192
# With a larger window, a text that is too long for it would take too long at each start.
_MAX_CHECKED_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a model has done since the start, each time it was in memory.

    Attributes:
        load: the work that waits and was done.
        unknown_texts: how many texts were mostly unknown to the model.
    """

    load: Load = NOTHING_DONE
    unknown_texts: int = 0

    def figures(self, *, model: str) -> Iterator[Figure]:
        """Yield figures for metrics, labelled with `model`."""
        yield from self.load.figures(model=model)
        yield Figure(
            name="unknown_texts",
            summary="Texts that were mostly unknown to the model, such as another script; those of batches too.",
            value=self.unknown_texts,
            is_total=True,
            labels={"model": model},
        )


NOTHING_COUNTED = Counts()


class Pipeline:
    """One loaded model.

    Attributes:
        own_name: the served model under the model's own id.
        tokenizer: the model's tokenizer.
        scheduler: computes the inputs that `prepare` makes.
        unknown_texts: how many texts were mostly unknown to the model, since the start.
    """

    is_per_token: ClassVar[bool] = False  # whether the network returns the vectors of all tokens

    def __init__(self, model: LoadedModel, settings: Settings, counts: Counts = NOTHING_COUNTED) -> None:
        """Load the network and start its streams.

        Args:
            model: the model.
            settings: `precision`, `long_text`, `streams`, `token_budget`, `max_waiting_tokens`, `device` and
                `trust_remote_code`.
            counts: what it had done when it was last in memory.

        Raises:
            UnsupportedModel: the model's files cannot be run.
        """
        self._record = model.record
        self.unknown_texts = counts.unknown_texts
        self._cuts = settings.long_text == "truncate"
        engine = engine_of(model.record)
        with ThreadPoolExecutor(1) as beside:  # a network is compiled by native code, which leaves the interpreter free
            loading = None if engine.brings_tokenizer else beside.submit(load_tokenizer, model.record, model.folder)
            open_encoder = engine.open_tokens if self.is_per_token else engine.open
            self._encoder = open_encoder(model.record, model.folder, settings)
        try:
            self.tokenizer = loading.result() if loading else _tokenizer_of(cast("TextEncoder", self._encoder))
            self._window = _make_window(model, self.tokenizer)
            self._warm_up(model, settings)
        except BaseException:
            self._encoder.close()
            raise
        token_budget = engine.token_budget(settings, self._encoder)
        described = describe_model(model, self._encoder.native_dim, self._limit(MAX_TEXT_TOKENS))
        self.own_name = replace(described, micro_batch_tokens=token_budget)
        self.scheduler = Scheduler(
            self._encoder,
            streams=engine.count_streams(settings),
            token_budget=token_budget,
            max_waiting_tokens=settings.max_waiting_tokens,
            per_token=self.is_per_token,
            done=counts.load,
        )

    @property
    def counts(self) -> Counts:
        """What the model has done since the start."""
        return Counts(load=self.scheduler.load, unknown_texts=self.unknown_texts)

    def _warm_up(self, model: LoadedModel, settings: Settings) -> None:
        """Compute the pinned texts; compare their vectors if the model has pinned ones or the encoder makes its own.

        Raises:
            UnsupportedModel: the weights cannot be run, or give wrong vectors.
        """
        inputs = [ids or [0] for ids in self.fill_bare(PINNED_TEXTS)]  # a tokenizer may have no tokens for them
        vectors = warm_up(self._encoder, model.record, model.folder, inputs)
        if not np.isfinite(vectors).all():
            raise UnsupportedModel(f"{model.record.id} gives vectors that are not finite: its weights are damaged.")
        self._check_vectors(model, vectors, inputs, settings)

    def _check_vectors(
        self,
        model: LoadedModel,
        vectors: Float32Array,
        inputs: Sequence[Sequence[int]],  # noqa: ARG002 # for the vectors of tokens
        settings: Settings,
    ) -> None:
        """Check the vectors of the pinned texts, which were computed from `inputs`.

        Raises:
            UnsupportedModel: they are wrong, or not as the record says.
        """
        record, size = model.record, vectors.shape[1]
        if record.native_dim not in {0, size}:
            raise UnsupportedModel(f"{record.id} gives vectors of {size} values, expected {record.native_dim}.")
        check_pinned_vectors(model.weights_sha256, vectors, settings.precision)
        if engine_of(model.record).brings_tokenizer:
            self._check_steps(cast("TextEncoder", self._encoder), settings)

    def _check_steps(self, encoder: TextEncoder, settings: Settings) -> None:
        """Compare the vectors of texts, of one with a prompt and of one that is too long with the encoder's own."""
        texts: list[str] = [*PINNED_TEXTS]
        if self._window.window_tokens <= _MAX_CHECKED_TOKENS:
            texts.append("word " * self._window.window_tokens)
        prompt = next((each for each in self._record.prompts.by_task.values() if each and "{title}" not in each), "")
        for each in dict.fromkeys(["", prompt]):
            ours, theirs = normalise(self.encode_bare(texts, each)), normalise(encoder.encode_texts(texts, each))
            cosine = float(np.einsum("ij,ij->i", ours, theirs).min())
            if not cosine >= MIN_COSINE[settings.precision]:
                raise UnsupportedModel(
                    f"{self._record.id} does more with a text than gemvec knows: sentence-transformers gives other"
                    f" vectors for the same texts{f' and the prompt {each!r}' if each else ''} (cosine {cosine:.4f})."
                )

    def fill_bare(self, texts: Sequence[str], prompt: str = "") -> list[list[int]]:
        """Return the network's inputs for texts with this prompt and no other, cut at the window."""
        room = self._window.room
        token_ids = [ids[:room] for ids in self.tokenizer.encode([prompt + text for text in texts], room)]
        inputs = [self._window.fill(ids) for ids in token_ids]
        if not self._record.leaves_out_prompt:
            return inputs
        marked = zip(inputs, token_ids, strict=True)
        return [self._mark_prompt([window], prompt, ids)[0] for window, ids in marked]

    def encode_bare(self, texts: Sequence[str], prompt: str = "") -> Float32Array:
        """Return float32[texts, native_dim], computed in one micro-batch past the scheduler, which must be idle."""
        return self._encoder.encode(self.fill_bare(texts, prompt), 0)

    def gemini_names(self) -> list[ServedModel]:
        """Return the Gemini names as served by this model."""
        return [
            ServedModel(
                name=each.name,
                model_id=self.own_name.model_id,
                revision=self.own_name.revision,
                display_name=each.display_name,
                description=f"Answered by {self.own_name.weights}; its vectors do not mix with Google's.",
                input_token_limit=self._limit(each.input_token_limit),
                native_dim=self.own_name.native_dim,
                default_dimensionality=each.default_dimensionality,
                takes_options=each.takes_options,
                retired_at=each.retired_at,
                languages=self.own_name.languages,
                prompts=self.own_name.prompts,
                micro_batch_tokens=self.own_name.micro_batch_tokens,
            )
            for each in GEMINI_NAMES
        ]

    def tokenize(self, served: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """Return the requests with their tokens.

        Raises:
            InvalidRequest: one cannot be embedded as asked; `index` says which.
        """
        found = zip(requests, self._token_ids(served, requests), strict=True)
        return [structs.replace(request, tokens=Tokens(len(ids), ids)) for request, ids in found]

    def prepare(self, served: ServedModel, requests: Sequence[EmbedRequest]) -> Prepared:
        """Check requests and return the network's inputs.

        Raises:
            InvalidRequest: one cannot be embedded as asked; `index` says which.
        """
        token_ids = self._token_ids(served, requests)
        lengths = [len(ids) for ids in token_ids]
        inputs: list[list[int]] = []
        window_counts = [1] * len(requests)
        if self._are_plain(lengths, served.input_token_limit):
            inputs = [self._window.fill(ids) for ids in token_ids]
        else:
            for index, (request, ids) in enumerate(zip(requests, token_ids, strict=True)):
                windows = self._windows(served, request, ids, index)
                inputs += windows
                window_counts[index] = len(windows)
        return Prepared(
            inputs=inputs,
            window_counts=window_counts,
            token_counts=lengths,
            token_limit=served.input_token_limit,
            unknown_counts=[self.tokenizer.count_unfamiliar(ids) for ids in token_ids],
            dimensionalities=[each.output_dimensionality or served.default_dimensionality for each in requests],
        )

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts that have these ids, without special tokens.

        Raises:
            InvalidRequest: an id is not a token of the model; `index` says in which text.
        """
        for index, ids in enumerate(token_ids):
            if (unknown := self.tokenizer.find_unknown(ids)) is not None:
                raise InvalidRequest(
                    f"{{field}} has the id {unknown}, which is not a token of {self.own_name.model_id}.", index=index
                )
        return self.tokenizer.decode(token_ids)

    async def close(self) -> None:
        """Finish what was accepted and free the weights."""
        await self.scheduler.close()
        self._encoder.close()

    def _token_ids(self, served: ServedModel, requests: Sequence[EmbedRequest]) -> list[Sequence[int]]:
        """Check requests and return the ids of each text; a text is not tokenized again if its ids are known."""
        for index, request in enumerate(requests):
            check_request(request, served, index)
        known = [request.tokens.ids if request.tokens is not None else None for request in requests]
        unknown = [request for request, ids in zip(requests, known, strict=True) if ids is None]
        found = iter(self.tokenizer.encode(self._prompted(unknown), served.input_token_limit))
        token_ids = [next(found) if ids is None else ids for ids in known]
        if self.tokenizer.without_vector:
            self._refuse_without_vector(token_ids)
        return token_ids

    def _refuse_without_vector(self, token_ids: Sequence[Sequence[int]]) -> None:
        for index, ids in enumerate(token_ids):
            if (token := self.tokenizer.find_without_vector(ids)) is not None:
                raise InvalidRequest(
                    f"{{field}} has the token {token!r}, for which {self.own_name.model_id} has no vector.",
                    field="content",
                    index=index,
                )

    def _prompted(self, requests: Sequence[EmbedRequest]) -> list[str]:
        """Return each text after its prompt and title; requests in a row mostly have the same prompt."""
        texts: list[str] = []
        prompt, task_type = "", None
        for request in requests:
            if request.title:
                texts.append(apply_prompt(self._record.prompts, request.text, request.task_type, request.title))
                continue
            if request.task_type is not task_type:
                task_type = request.task_type
                prompt = apply_prompt(self._record.prompts, "", task_type)
            texts.append(prompt + request.text)
        return texts

    def _limit(self, token_limit: int) -> int:
        return min(token_limit, self._window.room) if self._cuts else token_limit

    def _are_plain(self, lengths: Sequence[int], limit: int) -> bool:
        """Say whether texts with these numbers of tokens are one whole window each, with nothing to mark."""
        fit = min(lengths, default=1) > 0 and max(lengths, default=0) <= min(limit, self._window.room)
        return fit and not self._record.leaves_out_prompt

    def _windows(self, served: ServedModel, request: EmbedRequest, ids: Sequence[int], index: int) -> list[list[int]]:
        """Return the network's inputs for a text, as one window or several.

        Raises:
            InputTooLong: the text may not be cut.
            EmptyText: it has no tokens, and the model no special ones.
        """
        windows = self._split(served, request, ids, index)
        if not self._record.leaves_out_prompt:
            return windows
        return self._mark_prompt(windows, apply_prompt(self._record.prompts, "", request.task_type), ids)

    def _split(self, served: ServedModel, request: EmbedRequest, ids: Sequence[int], index: int) -> list[list[int]]:
        limit = served.input_token_limit
        if len(ids) > limit and not request.auto_truncate:
            raise InputTooLong(
                f"{{field}} has {len(ids)} tokens or more; {served.name} takes up to {limit}.",
                field="content",
                index=index,
            )
        if len(ids) <= self._window.room:
            window = self._window.fill(ids)
            if not window:
                raise EmptyText("{field} has no tokens.", field="content", index=index)
            return [window]
        return self._window.split(ids[:limit], self._lead_tokens(request, ids))

    def _mark_prompt(self, windows: list[list[int]], prompt: str, ids: Sequence[int]) -> list[list[int]]:
        """Mark the prompt's tokens, and the special tokens before them, in each window that repeats the prompt."""
        (prompt_ids,) = self.tokenizer.encode([prompt], self._window.room)
        if not prompt_ids or list(ids[: len(prompt_ids)]) != prompt_ids:
            return windows
        lead = [*self.tokenizer.prefix_ids, *prompt_ids]
        return [mark_prompt(each, len(lead)) if each[: len(lead)] == lead else each for each in windows]

    def _lead_tokens(self, request: EmbedRequest, ids: Sequence[int]) -> int:
        """Return how many ids at the start of a text belong to its prompt and title."""
        prompt = apply_prompt(self._record.prompts, "", request.task_type, request.title)
        (lead,) = self.tokenizer.encode([prompt], self._window.room)
        return len(lead) if ids[: len(lead)] == lead else 0


def _tokenizer_of(encoder: TextEncoder) -> Tokenizer:
    with TemporaryDirectory() as folder:
        file = Path(folder, "tokenizer.json")
        encoder.save_tokenizer(file)
        return Tokenizer(file)


def _make_window(model: LoadedModel, tokenizer: Tokenizer) -> Window:
    """Return how texts are put into the network's window.

    Raises:
        UnsupportedModel: it has no room for a text.
    """
    window = Window(
        window_tokens=model.record.window_tokens, prefix_ids=tokenizer.prefix_ids, suffix_ids=tokenizer.suffix_ids
    )
    if window.room < 1:
        raise UnsupportedModel(
            f"The window of {model.folder} ({model.record.window_tokens} tokens) has no room for a text."
        )
    return window


def describe_model(model: LoadedModel, native_dim: int, token_limit: int) -> ServedModel:
    """Return the served model under the model's own id.

    Args:
        model: the model.
        native_dim: number of values in its vectors.
        token_limit: how many tokens of a text count.
    """
    return ServedModel(
        name=model.record.id,
        model_id=model.record.id,
        revision=model.revision,
        display_name=model.record.id,
        description=model.record.summary,
        input_token_limit=token_limit,
        native_dim=native_dim,
        default_dimensionality=native_dim,
        languages=model.record.languages,
        prompts={task: model.record.prompts.of(task) for task in TaskType},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A call that is ready to be computed.

    Attributes:
        inputs: the windows of all texts, as input for the network.
        window_counts: number of windows of each text.
        token_counts: tokens of each text before any cut; a text far beyond the limit is not counted to its end.
        unknown_counts: those of them that stand for text for which the model was not made.
        token_limit: how many tokens of a text count.
        dimensionalities: wanted length of each text's vector.
    """

    inputs: list[list[int]]
    window_counts: list[int]
    token_counts: list[int]
    unknown_counts: list[int]
    token_limit: int
    dimensionalities: list[int]

    def finish(self, vectors: Float32Array) -> list[Embedding]:
        """Return the texts' embeddings, given the vectors of their windows, float32[windows, native_dim]."""
        merged = merge_windows(vectors, [len(each) for each in self.inputs], self.window_counts)
        rows: list[Float32Array] = list(merged)
        for dimensionality in set(self.dimensionalities) - {merged.shape[1]}:
            places = np.flatnonzero(np.array(self.dimensionalities) == dimensionality)
            for place, vector in zip(places, fit_dimensions(merged[places], dimensionality), strict=True):
                rows[place] = vector
        counted = zip(rows, self.token_counts, self.unknown_counts, strict=True)
        if max(self.token_counts, default=0) <= self.token_limit:
            return [Embedding(vector, count, None, unknown) for vector, count, unknown in counted]
        return [Embedding.of(vector, count, self.token_limit, unknown) for vector, count, unknown in counted]
