"""A name and the model that serves it: `ServedModel`, and the model that scores texts: `ScoringModel`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array
from gemvec.embedding.task_type import TaskType
from gemvec.errors import ModelNotFound

# The id of the embedder without weights, for tests; it is in no catalogue and no hub.
FAKE = "fake"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A name that callers may use, and the weights that serve it.

    Attributes:
        name: the id after `models/`: a Gemini name or a model's own id.
        model_id: catalogue id of the weights that really serve, such as `all-minilm-l6-v2`.
        revision: first eight characters of the SHA-256 of the weights file.
        display_name: a human-readable name.
        description: one sentence that names the weights.
        input_token_limit: texts beyond it are cut or refused.
        native_dim: values the network produces.
        default_dimensionality: values in a vector when the caller does not say.
        takes_options: whether task type and output dimensionality may be given (embedding-001 takes neither).
        retired_at: the day Google ended the name; None if it has not, and for names that are not Google's.
        languages: which languages the weights are for, in words; empty if that is not known.
        prompts: what is put before a text, by task type; empty if that is not known.
        micro_batch_tokens: most tokens that are computed at once, with padding; 0 if that is not known.
    """

    name: str
    model_id: str
    revision: str
    display_name: str
    description: str
    input_token_limit: int
    native_dim: int
    default_dimensionality: int
    takes_options: bool = True
    retired_at: date | None = None
    languages: str = ""
    prompts: Mapping[TaskType, str] = field(default_factory=dict[TaskType, str], compare=False, repr=False)
    micro_batch_tokens: int = field(default=0, compare=False)

    @property
    def weights(self) -> str:
        """The weights that serve it, in the form of `x-gemvec-model`: `all-minilm-l6-v2@53aa5117`."""
        return f"{self.model_id}@{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringModel:
    """A cross-encoder that scores texts against a query.

    Attributes:
        name: its own id.
        aliases: other names for it, its hub id among them.
        revision: first eight characters of the SHA-256 of the weights file.
        input_token_limit: tokens of a query and a text together, special ones included.
        languages: which languages it is for, in words; empty if that is not known.
    """

    name: str
    aliases: tuple[str, ...]
    revision: str
    input_token_limit: int
    languages: str = ""

    @property
    def weights(self) -> str:
        """The weights, in the form of `x-gemvec-model`: `bge-reranker-base@8f1c2a3b`."""
        return f"{self.name}@{self.revision}"


def find_served(served: Mapping[str, ServedModel], name: str) -> ServedModel:
    """Return what serves `name`.

    Args:
        served: every served name.
        name: what a caller has asked for.

    Raises:
        ModelNotFound: nothing does.
    """
    try:
        return served[name]
    except KeyError:
        raise ModelNotFound(f"The model {name!r} is not served here.", name=name) from None


def relevance_of(logits: Float32Array) -> npt.NDArray[np.float64]:
    """Return the scores of a cross-encoder, float32[texts], as numbers from 0 to 1, float64[texts]."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))
