"""The messages of Cohere's embed routes, as its SDKs send them.

Unknown fields are ignored, but options that would change the vectors and are not supported are refused. Contract:
Cohere's API references for `POST /v2/embed` and `POST /v1/embed`; cohere-python 5 to 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from gemvec.wire.encodings import ENCODINGS
from gemvec.wire.inputs import TEXTS, TRUNCATE, TaskNames
from gemvec.wire.kinds import COUNT, INTEGER_VECTORS, VECTORS, Kind, Refused, choice, list_of, refused
from gemvec.wire.message import Field, JsonMessage, kind_of_type, to_wire

_MISSING = "`{path}` is required"
_ENCODING = choice(tuple(ENCODINGS), f"`{{path}}`: {{value}} is not one of {', '.join(ENCODINGS)}")


class CohereTexts(TaskNames, frozen=True, kw_only=True):
    """What both routes take beside a model."""

    texts: Annotated[
        list[str], Field("The texts, at least one.", kind=TEXTS, missing=_MISSING, is_indexed=True, minItems=1)
    ]
    embedding_types: Annotated[
        list[str] | None, Field("How to write the vectors; there may be several encodings.", kind=list_of(_ENCODING))
    ] = None
    output_dimension: Annotated[int | None, Field("Number of values in each vector; by default the model's.")] = None
    truncate: Annotated[
        bool, Field("Cut a text that is too long at its end (`END`) or refuse it (`NONE`).", kind=TRUNCATE)
    ] = True
    images: Annotated[Any, Field("Refused: the models here read text only.", kind=refused("text only is served"))] = (
        None
    )
    inputs: Annotated[Any, Field("Refused: give `texts`.", kind=refused("give the texts in `texts`"))] = None
    max_tokens: Annotated[
        Any, Field("Refused: the model's own limit holds.", kind=refused("the model's own limit holds"))
    ] = None

    def check(self) -> None:
        """Refuse a call without texts."""
        if not self.texts:
            raise Refused("`{path}`: expected at least one text", at=("texts",))

    def encodings(self) -> list[str]:
        """Return the names of the encodings that are wanted, each once."""
        return list(dict.fromkeys(self.embedding_types or ["float"]))


class CohereEmbedRequest(CohereTexts, frozen=True, kw_only=True):
    """Texts to embed."""

    model: Annotated[str, Field("A served name.", missing=_MISSING)]


class CohereV1EmbedRequest(CohereTexts, frozen=True, kw_only=True):
    """Texts to embed, as Cohere's first clients send them."""

    model: Annotated[str | None, Field("A served name; by default the default model.")] = None


class CohereEmbeddings(JsonMessage, frozen=True, kw_only=True):
    """The vectors in each requested encoding, in the order of the texts."""

    floats: Annotated[Sequence[Any] | None, Field("Values.", name="float", kind=VECTORS)] = None
    int8: Annotated[Sequence[Any] | None, Field("The largest value is 127.", kind=INTEGER_VECTORS)] = None
    uint8: Annotated[Sequence[Any] | None, Field("The same plus 128.", kind=INTEGER_VECTORS)] = None
    binary: Annotated[Sequence[Any] | None, Field("ubinary minus 128.", kind=INTEGER_VECTORS)] = None
    ubinary: Annotated[Sequence[Any] | None, Field("One bit per value, eight in a byte.", kind=INTEGER_VECTORS)] = None
    base64: Annotated[list[str] | None, Field("Little-endian float32.")] = None


_BY_ENCODING = kind_of_type(CohereEmbeddings)
_FLOATS_OR_BY_ENCODING = Kind(
    lambda value: VECTORS.read(value) if isinstance(value, list) else _BY_ENCODING.read(value),
    lambda value: to_wire(value) if isinstance(value, CohereEmbeddings) else value,
    {"anyOf": [VECTORS.schema, _BY_ENCODING.schema]},
)


class CohereApiVersion(JsonMessage, frozen=True, kw_only=True):
    """The version of Cohere's API."""

    version: Annotated[str, Field("1 or 2, as the route.")] = "2"


class CohereBilledUnits(JsonMessage, frozen=True, kw_only=True):
    """What was embedded."""

    input_tokens: Annotated[int, Field("Tokens.", kind=COUNT)]


class CohereMeta(JsonMessage, frozen=True, kw_only=True):
    """Facts about a call."""

    api_version: Annotated[CohereApiVersion, Field("The version of Cohere's API.")] = CohereApiVersion()
    billed_units: Annotated[CohereBilledUnits, Field("What was embedded.")]
    warnings: Annotated[list[str] | None, Field("Which texts were cut, and how many tokens they had.")] = None


class CohereEmbedResponse(JsonMessage, frozen=True, kw_only=True):
    """The vectors."""

    id: Annotated[str, Field("The request's id, as in the log.")]
    response_type: Annotated[str, Field("embeddings_by_type")] = "embeddings_by_type"
    embeddings: Annotated[CohereEmbeddings, Field("The vectors.")]
    texts: Annotated[list[str], Field("The texts.")]
    meta: Annotated[CohereMeta, Field("Facts about the call.")]


class CohereV1EmbedResponse(JsonMessage, frozen=True, kw_only=True):
    """The vectors, as Cohere's first clients read them."""

    id: Annotated[str, Field("The request's id, as in the log.")]
    response_type: Annotated[str, Field("embeddings_floats, or embeddings_by_type if the request names encodings.")] = (
        "embeddings_floats"
    )
    embeddings: Annotated[Any, Field("The vectors, or the vectors by encoding.", kind=_FLOATS_OR_BY_ENCODING)]
    texts: Annotated[list[str], Field("The texts.")]
    meta: Annotated[CohereMeta, Field("Facts about the call.")]


class CohereError(JsonMessage, frozen=True, kw_only=True):
    """What went wrong."""

    message: Annotated[str, Field("For people.")]


def embeddings_of(vectors: Mapping[str, Sequence[Any]]) -> CohereEmbeddings:
    """Return the vectors by their encoding."""
    named = {("floats" if name == "float" else name): each for name, each in vectors.items()}
    return CohereEmbeddings(**cast("dict[str, Any]", named))


def meta_of(token_count: int, truncated: Mapping[int, int], *, version: str = "2") -> CohereMeta:
    """Return the facts about a call.

    Args:
        token_count: tokens that were embedded.
        truncated: by the index of each text that was cut, its tokens before the cut.
        version: of Cohere's API.
    """
    warnings = [f"texts[{index}] was cut: it had {count} tokens or more" for index, count in truncated.items()]
    return CohereMeta(
        api_version=CohereApiVersion(version=version),
        billed_units=CohereBilledUnits(input_tokens=token_count),
        warnings=warnings or None,
    )


def error_to_wire(message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return to_wire(CohereError(message=message))
