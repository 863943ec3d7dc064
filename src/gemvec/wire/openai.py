"""The messages of OpenAI's embeddings and models routes, as openai-python and Milvus send them.

Unknown fields are ignored, as by every compatible server, because clients send their own extensions. Options of other
services that would give other vectors are followed or refused. Contract: OpenAI's API reference for embeddings, and
openai-python 3.52.0 for its defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar, cast

from gemvec.embedding.embed import Float32Array
from gemvec.errors import InvalidRequest
from gemvec.wire.encodings import ENCODINGS, NUMBERS, to_base64
from gemvec.wire.inputs import INPUTS, MISSING_INPUT, NORMALIZED, TRUNCATE, Input, TaskNames
from gemvec.wire.kinds import BOOL, IGNORED, INT32, TEXT, VALUES, Kind, Refused, choice, nullable, only, only_empty
from gemvec.wire.message import Field, JsonMessage, to_wire

T = TypeVar("T")


def _one_of(values: Iterable[str]) -> Kind:
    names = tuple(values)
    return choice(names, f"Invalid value for '{{path}}': {{value}} is not one of {', '.join(names)}.")


_NUMBERS = _one_of(NUMBERS)
_ENCODING = _one_of(ENCODINGS)
# What other services have beside OpenAI's fields.
_EUCLIDEAN = only(INT32, 2, "vectors are normalised to a Euclidean length of 1")
_EACH_FOR_ITSELF = only(BOOL, False, "each input is embedded for itself")
_ONE_VECTOR = only(BOOL, False, "each input has one vector")
_SPECIAL_TOKENS = only(BOOL, True, "texts get the special tokens that the model wants")
_OWN_LIMIT = only(INT32, -1, "texts are cut at the model's own limit only")
_RIGHT = only(TEXT, "right", "texts are cut at their end only")
_FLOAT32 = only(TEXT, "float32", "only float32 is served; `output_dtype` has other numbers")
_ENDIANNESS = choice(("little", "native"), "`{path}`: {value} is not served, only little")
_TEXT_ONLY = "`{path}`: {value} is not served; the models here read text only"


def _read_modality(value: Any) -> list[str]:
    named = cast("list[Any]", value) if isinstance(value, list) else [value]
    for each in named:
        if each != "text":
            raise Refused(_TEXT_ONLY, each)
    return named


_MODALITY = Kind(
    _read_modality,
    None,
    {"anyOf": [{"type": "string", "enum": ["text"]}, {"type": "array", "items": {"type": "string", "enum": ["text"]}}]},
)
_BEFORE_THE_TEXTS = only_empty("put it before the texts")
_VALUES_OR_BASE64 = Kind(lambda value: value, None, {"anyOf": [VALUES.schema, {"type": "string"}]})


class OpenAIEmbeddingsRequest(TaskNames, frozen=True, kw_only=True):
    """Texts to embed."""

    inputs: Annotated[
        list[Input],
        Field(
            "A text, texts, the token ids of one text, or of several.",
            name="input",
            kind=INPUTS,
            missing=MISSING_INPUT,
            is_indexed=True,
        ),
    ]
    model: Annotated[str | None, Field("A served name; by default the default model.")] = None
    dimensions: Annotated[
        int | None, Field("Number of values in each vector; by default, and for Infinity's 0, the model's.")
    ] = None
    output_dimension: Annotated[int | None, Field("The same in Voyage AI's and Mistral's words.")] = None
    encoding_format: Annotated[
        str,
        Field(
            "base64 holds the bytes of the numbers, those of floats little-endian; the others are Mixedbread's.",
            kind=_ENCODING,
            default="float",
        ),
    ] = "float"
    output_dtype: Annotated[
        str | None, Field("Numbers instead of floats, as Voyage AI and Mistral have them.", kind=_NUMBERS)
    ] = None
    embedding_type: Annotated[
        str | None, Field("Bits or base64 instead of floats, as Jina AI has them.", kind=_ENCODING)
    ] = None
    encoding_type: Annotated[str | None, Field("The same, as LlamaIndex sends it to Jina AI.", kind=_ENCODING)] = None
    truncation: Annotated[
        bool | None, Field("Cut a text that is too long (true) or refuse it (false); Voyage AI's.", default=True)
    ] = None
    truncate: Annotated[
        bool | None, Field("The same: `END` or `NONE` are NVIDIA's, true or false Jina AI's.", kind=TRUNCATE)
    ] = None
    user: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None
    normalized: Annotated[
        bool | None, Field("Only true is served; Jina AI's and Mixedbread's.", kind=NORMALIZED, default=True)
    ] = None
    normalize: Annotated[bool | None, Field("Only true is served; vLLM's.", kind=NORMALIZED, default=True)] = None
    use_activation: Annotated[bool | None, Field("The same, as vLLM names it now.", kind=NORMALIZED, default=True)] = (
        None
    )
    embd_normalize: Annotated[int | None, Field("Only 2 is served; llama.cpp's.", kind=_EUCLIDEAN, default=2)] = None
    late_chunking: Annotated[
        bool | None, Field("Only false is served; Jina AI's.", kind=_EACH_FOR_ITSELF, default=False)
    ] = None
    return_multivector: Annotated[
        bool | None, Field("Only false is served; Jina AI's.", kind=_ONE_VECTOR, default=False)
    ] = None
    add_special_tokens: Annotated[
        bool | None, Field("Only true is served; vLLM's.", kind=_SPECIAL_TOKENS, default=True)
    ] = None
    truncate_prompt_tokens: Annotated[int | None, Field("Only -1 is served; vLLM's.", kind=_OWN_LIMIT, default=-1)] = (
        None
    )
    truncation_side: Annotated[str | None, Field("Only right is served; vLLM's.", kind=_RIGHT, default="right")] = None
    embed_dtype: Annotated[str | None, Field("Only float32 is served; vLLM's.", kind=_FLOAT32, default="float32")] = (
        None
    )
    endianness: Annotated[str | None, Field("Only little is served; vLLM's.", kind=_ENDIANNESS, default="little")] = (
        None
    )
    modality: Annotated[Any, Field("Only text is served; NVIDIA's and Infinity's.", kind=_MODALITY, default="text")] = (
        None
    )
    prompt: Annotated[Any, Field("Refused: put it before the texts; Mixedbread's.", kind=_BEFORE_THE_TEXTS)] = None
    instruction: Annotated[Any, Field("The same; LocalAI's.", kind=_BEFORE_THE_TEXTS)] = None

    def wanted_dimensions(self) -> int | None:
        """Return the number of values that is asked for.

        Raises:
            InvalidRequest: two fields ask for different ones.
        """
        return _only({"dimensions": self.dimensions or None, "output_dimension": self.output_dimension})

    def dimensions_field(self) -> str:
        """Return the name of the field that asks for a number of values."""
        return "dimensions" if self.output_dimension is None else "output_dimension"

    def is_cut(self) -> bool:
        """Return whether a text that is too long is cut (True) or refused (False).

        Raises:
            InvalidRequest: two fields ask for different things.
        """
        return _only({"truncation": self.truncation, "truncate": self.truncate}) is not False

    def writer(self) -> Callable[[Float32Array], Any] | None:
        """Return how vectors are to be written; None for lists of floats.

        Raises:
            InvalidRequest: two fields ask for different ways.
        """
        in_base64 = "base64" in {self.encoding_format, self.embedding_type, self.encoding_type}
        named = {
            "output_dtype": self.output_dtype,
            "embedding_type": None if self.embedding_type == "base64" else self.embedding_type,
            # Clients send float unasked.
            "encoding_type": None if self.encoding_type in {"float", "base64"} else self.encoding_type,
            "encoding_format": None if self.encoding_format in {"float", "base64"} else self.encoding_format,
        }
        encode = NUMBERS[_only(named) or "float"]
        if encode is None:
            return to_base64 if in_base64 else None
        return (lambda vector: to_base64(encode(vector))) if in_base64 else encode


def _only(named: dict[str, T | None]) -> T | None:
    """Return the value of the fields that have one.

    Raises:
        InvalidRequest: they differ.
    """
    given = {name: value for name, value in named.items() if value is not None}
    if len(set(given.values())) > 1:
        *_, last = given
        raise InvalidRequest(f"`{'` and `'.join(given)}` ask for different things: give one of them.", field=last)
    return next(iter(given.values()), None)


class OpenAIEmbedding(JsonMessage, frozen=True, kw_only=True):
    """A vector."""

    object: Annotated[str, Field("embedding")] = "embedding"
    index: Annotated[int, Field("Its place among the inputs.")]
    embedding: Annotated[Any, Field("Values, or base64.", kind=_VALUES_OR_BASE64)]


class OpenAIUsage(JsonMessage, frozen=True, kw_only=True):
    """What was embedded."""

    prompt_tokens: Annotated[int, Field("Tokens.")]
    total_tokens: Annotated[int, Field("The same.")]


class OpenAIEmbeddingsResponse(JsonMessage, frozen=True, kw_only=True):
    """The vectors."""

    object: Annotated[str, Field("list")] = "list"
    data: Annotated[list[OpenAIEmbedding], Field("In the order of the inputs.")]
    model: Annotated[str, Field("The served name.")]
    usage: Annotated[OpenAIUsage, Field("What was embedded.")]

    @classmethod
    def of(cls, values: Sequence[Any], *, model: str, token_count: int) -> OpenAIEmbeddingsResponse:
        """Return the answer with these vectors: lists, finished JSON or base64, in order."""
        return cls(
            data=[OpenAIEmbedding(index=index, embedding=each) for index, each in enumerate(values)],
            model=model,
            usage=OpenAIUsage(prompt_tokens=token_count, total_tokens=token_count),
        )


class OpenAIModel(JsonMessage, frozen=True, kw_only=True):
    """A served model."""

    id: Annotated[str, Field("The name.")]
    object: Annotated[str, Field("model")] = "model"
    created: Annotated[int, Field("Always 0: OpenAI requires this field, but it has no meaning here.")] = 0
    owned_by: Annotated[str, Field("gemvec")] = "gemvec"


class OpenAIModels(JsonMessage, frozen=True, kw_only=True):
    """All served models; OpenAI's list has no pages."""

    object: Annotated[str, Field("list")] = "list"
    data: Annotated[list[OpenAIModel], Field("Each name.")]


class OpenAIErrorDetail(JsonMessage, frozen=True, kw_only=True):
    """OpenAI's error."""

    message: Annotated[str, Field("For people.")]
    type: Annotated[str, Field("Its kind.")]
    param: Annotated[str | None, Field("The field at fault.", kind=nullable(TEXT))] = None
    code: Annotated[str | None, Field("Its name.", kind=nullable(TEXT))] = None


class OpenAIError(JsonMessage, frozen=True, kw_only=True):
    """What went wrong."""

    error: Annotated[OpenAIErrorDetail, Field("The error.")]


def error_to_wire(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error: `{"error": {message, type, param, code}}`."""
    return to_wire(OpenAIError(error=OpenAIErrorDetail(message=message, type=kind, param=param, code=code)))
