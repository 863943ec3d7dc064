"""Which vectors a collection holds: `Fingerprint`, kept with the collection, compared before anything is mixed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Self

from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality, FingerprintMismatch, ModelNotFound

PROPERTY = "gemvec.fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What decides whether two vectors may be compared.

    Attributes:
        model: the served name that was asked for, such as `all-minilm-l6-v2`; not decisive by itself.
        weights: which weights answered, such as `all-minilm-l6-v2@53aa5117`.
        dimensionality: values in a vector.
        task_type: the documents' task type.
        is_normalised: whether vectors have length 1.
    """

    model: str
    weights: str
    dimensionality: int
    task_type: str = TaskType.RETRIEVAL_DOCUMENT.name
    is_normalised: bool = True

    @classmethod
    def of(cls, served: ServedModel, dimensionality: int | None = None) -> Self:
        """Return the fingerprint of documents embedded by `served`.

        Raises:
            BadDimensionality: the model gives vectors of one length only, and it is not the one asked for.
        """
        if not served.takes_options and dimensionality not in {None, served.default_dimensionality}:
            raise BadDimensionality(
                f"{served.name} gives vectors of {served.default_dimensionality} values, not {dimensionality}."
            )
        task_type = TaskType.RETRIEVAL_DOCUMENT if served.takes_options else TaskType.TASK_TYPE_UNSPECIFIED
        return cls(
            model=served.name,
            weights=served.weights,
            dimensionality=dimensionality or served.default_dimensionality,
            task_type=task_type.name,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `format` wrote."""
        return cls(**json.loads(text))

    def format(self) -> str:
        """Return the fingerprint as one line of JSON, for a collection's properties."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """Eight characters that differ when the vectors do not mix."""
        return blake2b(repr(self._essence()).encode(), digest_size=4).hexdigest()

    def check(self, other: Fingerprint, *, collection: str) -> None:
        """Refuse to put vectors of `other` beside those of this fingerprint, `collection`'s own.

        Raises:
            FingerprintMismatch: they do not mix; the message names both.
        """
        if self._essence() != other._essence():
            raise self._mismatch(str(other), collection)

    def find_served(self, embedder: Embedder, *, collection: str) -> ServedModel:
        """Return the model of `embedder` that makes this fingerprint's vectors.

        Raises:
            FingerprintMismatch: it does not serve such a model.
        """
        served = self._own_model(embedder)
        if served is None:
            served = next((each for each in embedder.list_models() if each.weights == self.weights), None)
        if served is None:
            others = ", ".join(sorted({each.weights for each in embedder.list_models()}))
            raise self._mismatch(others, collection)
        return served

    def _own_model(self, embedder: Embedder) -> ServedModel | None:
        try:
            served = embedder.get_model(self.model)
        except ModelNotFound:
            return None
        return served if served.weights == self.weights else None

    def _mismatch(self, other: str, collection: str) -> FingerprintMismatch:
        return FingerprintMismatch(
            f"Collection {collection!r} holds vectors of {self}, which do not mix with those of {other}. "
            f"Use the collection's own model, another collection, or `gemvec reembed`."
        )

    def _essence(self) -> tuple[str, int, str, bool]:
        return self.weights, self.dimensionality, self.task_type, self.is_normalised

    def __str__(self) -> str:
        length = "normalised" if self.is_normalised else "not normalised"
        return f"{self.weights} ({self.model}, {self.dimensionality} dimensions, {self.task_type}, {length})"
