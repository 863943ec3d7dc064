"""A name and the model that serves it: `ServedModel`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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

    @property
    def weights(self) -> str:
        """The weights that serve it, in the form of `x-gemvec-model`: `all-minilm-l6-v2@53aa5117`."""
        return f"{self.model_id}@{self.revision}"
