"""The messages of Ollama's routes for embeddings and models, as ollama-python and Ollama's other clients send them.

Unknown fields are ignored, as by Ollama. `task_type` and similar fields are additions: Ollama's API cannot say whether
a text is a query. Contract: Ollama's docs/api.md; ollama-python 0.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from gemvec.wire.inputs import TEXTS, TaskNames
from gemvec.wire.kinds import COUNT, IGNORED, VECTOR, VECTORS, Kind, Refused, refused
from gemvec.wire.message import Field, JsonMessage, to_wire

_Model = Annotated[str, Field("A served name; `:latest` may follow.", missing="`{path}` is required")]
_Truncate = Annotated[bool, Field("Cut a text that is too long (true) or refuse it (false).", default=True)]
# As Ollama has it: an empty text asks only whether the model is there, an empty text among others is a mistake.
_TEXTS_OR_NONE = Kind(
    lambda value: [] if value == "" else TEXTS.read(value), None, {"anyOf": [{"type": "string"}, TEXTS.schema]}
)
_Images = Annotated[Any, Field("Refused: the models here read text only.", kind=refused("text only is served"))]
_Ignored = Annotated[Any, Field("Ignored: it concerns how Ollama loads a model.", kind=IGNORED)]


class OllamaEmbedRequest(TaskNames, frozen=True, kw_only=True):
    """Texts to embed; without any, nothing is embedded."""

    more_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [
            {"required": ["input"], "properties": {"input": {"type": ["string", "array"]}}},
            {"properties": {"prompt": {"maxLength": 0}}},
        ]
    }

    model: _Model
    inputs: Annotated[
        list[str] | None,
        Field("A text, or texts; one empty text counts as none.", name="input", kind=_TEXTS_OR_NONE, is_indexed=True),
    ] = None
    prompt: Annotated[str | None, Field("Refused without `input`: it belongs to /api/embeddings.")] = None
    truncate: _Truncate = True
    dimensions: Annotated[int | None, Field("Number of values in each vector; by default, and for 0, the model's.")] = (
        None
    )
    images: _Images = None
    options: _Ignored = None
    keep_alive: _Ignored = None

    def check(self) -> None:
        """Refuse a text in the other route's field, for which Ollama answers without vectors."""
        if self.inputs is None and self.prompt:
            raise Refused("`{path}`: this route takes texts as `input`", at=("prompt",))


class OllamaEmbedResponse(JsonMessage, frozen=True, kw_only=True):
    """The vectors."""

    model: Annotated[str, Field("The name in the request.")]
    embeddings: Annotated[Sequence[Any], Field("In the order of the texts; normalised.", kind=VECTORS)]
    total_duration: Annotated[int, Field("Nanoseconds.", kind=COUNT)]
    load_duration: Annotated[int, Field("Always 0: the model is loaded when the server starts.", kind=COUNT)] = 0
    prompt_eval_count: Annotated[int, Field("Tokens that were embedded.", kind=COUNT)]


class OllamaEmbeddingsRequest(TaskNames, frozen=True, kw_only=True):
    """One text to embed, as Ollama's first clients send it; without it, nothing is embedded."""

    more_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [
            {"required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
            {"properties": {"input": {"maxLength": 0}}},
        ]
    }

    model: _Model
    prompt: Annotated[str | None, Field("The text.")] = None
    others: Annotated[str | None, Field("Refused without `prompt`: it belongs to /api/embed.", name="input")] = None
    truncate: _Truncate = True
    images: _Images = None
    options: _Ignored = None
    keep_alive: _Ignored = None

    def check(self) -> None:
        """Refuse a text in the other route's field, for which Ollama answers without a vector."""
        if self.prompt is None and self.others:
            raise Refused("`{path}`: this route takes the text as `prompt`", at=("input",))


class OllamaEmbeddingsResponse(JsonMessage, frozen=True, kw_only=True):
    """One vector."""

    embedding: Annotated[Any, Field("The vector, normalised; empty if there was no text.", kind=VECTOR)]


class OllamaShowRequest(JsonMessage, frozen=True, kw_only=True):
    """A model to describe."""

    model: Annotated[str | None, Field("A served name; `:latest` may follow.")] = None
    name: Annotated[str | None, Field("The same, as Ollama's first clients send it.")] = None


class OllamaDetails(JsonMessage, frozen=True, kw_only=True):
    """Kind of model."""

    format: Annotated[str, Field("Always empty.")] = ""
    family: Annotated[str, Field("The weights that serve it, such as `all-minilm-l6-v2@53aa5117`.")]
    parameter_size: Annotated[str, Field("Always empty.")] = ""
    quantization_level: Annotated[str, Field("Always empty.")] = ""


class OllamaModel(JsonMessage, frozen=True, kw_only=True):
    """A served model."""

    name: Annotated[str, Field("The name.")]
    model: Annotated[str, Field("The same.")]
    modified_at: Annotated[str, Field("Always 1970: this field of Ollama's has no meaning here.")] = (
        "1970-01-01T00:00:00Z"
    )
    size: Annotated[int, Field("Always 0, for the same reason.", kind=COUNT)] = 0
    digest: Annotated[str, Field("First eight characters of the SHA-256 of the weights.")]
    details: Annotated[OllamaDetails, Field("What kind of model it is.")]


class OllamaTags(JsonMessage, frozen=True, kw_only=True):
    """The served models."""

    models: Annotated[list[OllamaModel], Field("Each name.")]


class OllamaModelInfo(JsonMessage, frozen=True, kw_only=True):
    """Facts about the weights, by names that begin with the architecture, as Ollama's clients expect."""

    architecture: Annotated[str, Field("gemvec", name="general.architecture")] = "gemvec"
    context_length: Annotated[
        int, Field("Longer texts are cut or refused, in tokens.", name="gemvec.context_length", kind=COUNT)
    ]
    embedding_length: Annotated[
        int, Field("Default number of values in a vector.", name="gemvec.embedding_length", kind=COUNT)
    ]


class OllamaShowResponse(JsonMessage, frozen=True, kw_only=True):
    """Description of a model."""

    details: Annotated[OllamaDetails, Field("What kind of model it is.")]
    model_info: Annotated[OllamaModelInfo, Field("What the weights are.")]
    capabilities: Annotated[list[str], Field("Always `embedding`.")]
    template: Annotated[str, Field("Always empty.")] = ""
    parameters: Annotated[str, Field("Always empty.")] = ""
    modelfile: Annotated[str, Field("Always empty.")] = ""


class OllamaVersion(JsonMessage, frozen=True, kw_only=True):
    """The server's version."""

    version: Annotated[str, Field("gemvec's version, not one of Ollama's.")]


class OllamaError(JsonMessage, frozen=True, kw_only=True):
    """What went wrong."""

    error: Annotated[str, Field("For people.")]


def error_to_wire(message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return to_wire(OllamaError(error=message))
