"""Whether a model gives the vectors that it should: `verify_model`, behind `gemvec models verify`.

Vectors are compared with those of sentence-transformers: the pinned ones of the catalogue, those that a folder keeps in
`reference.json`, and those that sentence-transformers gives now, where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gemvec.embedding.embed import Float32Array, Priority
from gemvec.errors import GemvecError, UnsupportedModel
from gemvec.models.engine_choice import check_device_is_used
from gemvec.models.pinned_vectors import MIN_COSINE, PINNED_TEXTS, pinned_vectors
from gemvec.models.pipeline import Pipeline
from gemvec.models.vectors import normalise
from gemvec.models.weights import LoadedModel
from gemvec.settings import Precision, Settings

REFERENCE = "reference.json"
# ruff: noqa: RUF001 - texts in many languages
_SENTENCES = (
    "What is the capital of France?",
    "¿Cuál es la capital de Francia? París, a orillas del Sena.",
    "法国的首都是哪里？巴黎在塞纳河畔。",
    "Какой город является столицей Франции? Париж стоит на Сене.",
    "ما هي عاصمة فرنسا؟ باريس على نهر السين.",
    "फ्रांस की राजधानी क्या है? पेरिस सीन नदी के किनारे है।",
    "フランスの首都はどこですか。パリはセーヌ川のほとりにあります。",
    "프랑스의 수도는 어디입니까? 파리는 센강 가에 있습니다.",
    "Thủ đô của Pháp là gì? Paris nằm bên bờ sông Seine.",
    "Fransa'nın başkenti neresidir? Paris, Seine Nehri kıyısındadır.",
    "def capital(country: str) -> str:\n    return {'France': 'Paris'}[country]",
)
_LENGTHS = (1, 4, 30, 120, 500, 2_000, 8_000)  # characters; the last ones are beyond most windows
_ALL = " ".join(_SENTENCES)
TEXTS = (*_SENTENCES, *((_ALL * 20)[:length].strip() for length in _LENGTHS))
_SPEED_ROUNDS = 4


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The file `reference.json` of a folder.

    Attributes:
        texts: some texts.
        vectors: the vector of each, without a prompt.
        source: what made the vectors, for people.
    """

    texts: list[str]
    vectors: list[list[float]]
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found.

    Attributes:
        against: where the other vectors come from.
        texts: how many were compared.
        lowest_cosine: of a text's two vectors.
        largest_difference: of two values, the vectors having length 1.
        min_cosine: the lowest cosine that rounding explains.
    """

    against: str
    texts: int
    lowest_cosine: float
    largest_difference: float
    min_cosine: float

    @property
    def is_right(self) -> bool:
        """Whether the vectors are the same but for rounding."""
        return self.lowest_cosine >= self.min_cosine


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is known of a model after all comparisons.

    Attributes:
        weights: the model and the revision of its weights.
        precision: how it computed.
        comparisons: none where there was nothing to compare with.
        texts_per_second: how fast it is here.
        their_texts_per_second: how fast sentence-transformers is here; None where it is not installed.
        left_out: why sentence-transformers was not asked.
    """

    weights: str
    precision: Precision
    comparisons: list[Comparison]
    texts_per_second: float
    their_texts_per_second: float | None
    left_out: str

    @property
    def is_right(self) -> bool:
        """Whether something was compared and all of it is right."""
        return bool(self.comparisons) and all(each.is_right for each in self.comparisons)


def verify_model(model: LoadedModel, settings: Settings) -> Verification:
    """Compare a model's vectors with every reference there is.

    Args:
        model: one that embeds.
        settings: `engine`, `device`, `trust_remote_code`, `precision`, `streams` and `token_budget`.

    Raises:
        UnsupportedModel: the model cannot be run, or its reference.json cannot be read.
        BadSetting: `device` is not there, or the model's engine does not use it.
    """
    check_device_is_used(settings, [model.record])
    pipeline = Pipeline(model, replace(settings, long_text="truncate"))
    try:
        references = list(_kept(model, pipeline))
        theirs, their_speed, left_out = _ask_sentence_transformers(model, pipeline)
        speed = _measure(pipeline)
    finally:
        asyncio.run(pipeline.close())
    return Verification(
        weights=pipeline.own_name.weights,
        precision=settings.precision,
        comparisons=[_compare(*each, settings.precision) for each in (*references, *theirs)],
        texts_per_second=speed,
        their_texts_per_second=their_speed,
        left_out=left_out,
    )


# Where vectors come from, ours, and theirs.
_Compared = tuple[str, Float32Array, Float32Array]


def _kept(model: LoadedModel, pipeline: Pipeline) -> Iterator[_Compared]:
    """Yield what is pinned in the catalogue and what the folder keeps."""
    pinned = pinned_vectors(model.weights_sha256)
    if pinned is not None:
        yield "vectors pinned in gemvec", pipeline.encode_bare(PINNED_TEXTS), pinned
    reference = read_reference(model.folder)
    if reference is not None:
        expected = np.array(reference.vectors, np.float32)
        against = f"{REFERENCE} in the folder" + (f", {reference.source}" if reference.source else "")
        yield against, pipeline.encode_bare(reference.texts), expected


def read_reference(folder: Path) -> Reference | None:
    """Return what the folder keeps, None where it has no reference.json.

    Raises:
        UnsupportedModel: the file cannot be read, or has not one vector for each text.
    """
    path = folder / REFERENCE
    if not path.is_file():
        return None
    try:
        reference = msgspec.json.decode(path.read_bytes(), type=Reference)
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error
    if not reference.texts or len(reference.texts) != len(reference.vectors):
        raise UnsupportedModel(
            f"{path} has {len(reference.texts)} texts and {len(reference.vectors)} vectors, expected as many of both."
        )
    return reference


def _ask_sentence_transformers(model: LoadedModel, pipeline: Pipeline) -> tuple[list[_Compared], float | None, str]:
    """Return what sentence-transformers gives for texts of all lengths and languages, and how fast it is.

    Returns:
        Our vectors and theirs, their texts a second, and otherwise why they were not asked.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        return [], None, "sentence-transformers is not installed in this environment"
    import sentence_transformers  # pyright: ignore[reportMissingImports] # never among gemvec's own dependencies

    transformer: Any = sentence_transformers
    try:
        theirs = transformer.SentenceTransformer(
            str(model.folder), device="cpu", local_files_only=True, trust_remote_code=bool(model.record.code)
        ).float()
    except Exception as error:  # noqa: BLE001 - whatever it says, the model is not one that it can load
        return [], None, f"sentence-transformers cannot load the folder: {type(error).__name__}"
    name = f"sentence-transformers {version('sentence-transformers')}"
    prompts = sorted({each for each in model.record.prompts.by_task.values() if each and "{title}" not in each})
    started = time.perf_counter()
    expected = {prompt: _encode(theirs, prompt) for prompt in ("", *prompts)}
    speed = len(TEXTS) * len(expected) / (time.perf_counter() - started)
    compared = [
        (f"{name}, prompt {prompt!r}" if prompt else name, pipeline.encode_bare(TEXTS, prompt), vectors)
        for prompt, vectors in expected.items()
    ]
    return compared, speed, ""


def _encode(theirs: Any, prompt: str) -> Float32Array:
    return np.asarray(theirs.encode(list(TEXTS), prompt=prompt, show_progress_bar=False), np.float32)


def _compare(against: str, ours: Float32Array, expected: Float32Array, precision: Precision) -> Comparison:
    if ours.shape != expected.shape:
        raise GemvecError(f"{against}: vectors of {expected.shape[-1]} values, but the model gives {ours.shape[-1]}.")
    ours, expected = normalise(ours), normalise(expected)
    return Comparison(
        against=against,
        texts=len(ours),
        lowest_cosine=float(np.einsum("ij,ij->i", ours, expected).min()),
        largest_difference=float(np.abs(ours - expected).max()),
        min_cosine=MIN_COSINE[precision],
    )


def _measure(pipeline: Pipeline) -> float:
    """Return how many texts a second all streams compute together."""

    async def embed_all() -> float:
        inputs = pipeline.fill_bare(TEXTS) * _SPEED_ROUNDS
        started = time.perf_counter()
        await pipeline.scheduler.encode(inputs, Priority.INTERACTIVE)
        return len(inputs) / (time.perf_counter() - started)

    return asyncio.run(embed_all())
