"""The messages of models.list, models.get and models.countTokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from gemvec.wire.embed import Content, ModalityTokenCount
from gemvec.wire.kinds import Refused
from gemvec.wire.message import Field, ProtoMessage
from gemvec.wire.names import MODEL_NAME

METHODS = ["embedContent", "batchEmbedContents", "asyncBatchEmbedContent", "countTokens"]

_NO_CONTENTS = "* CountTokensRequest.contents: contents is not specified\n"
_PAGE_TOKEN = "`pageToken` of the next page; absent on the last."  # noqa: S105 - a description


class Model(ProtoMessage, frozen=True, kw_only=True):
    """A served model."""

    name: Annotated[str | None, Field("`models/{model}`", kind=MODEL_NAME)] = None
    version: Annotated[str | None, Field("First eight characters of the SHA-256 of the weights that serve it.")] = None
    display_name: Annotated[str | None, Field("A human-readable name.")] = None
    description: Annotated[str | None, Field("The weights that serve it.")] = None
    input_token_limit: Annotated[int | None, Field("Longer texts are cut or refused.")] = None
    output_token_limit: Annotated[int | None, Field("Always 1.")] = None
    supported_generation_methods: Annotated[list[str] | None, Field("The methods that it supports.")] = None


class ListModelsResponse(ProtoMessage, frozen=True, kw_only=True):
    """A page of models."""

    models: Annotated[list[Model] | None, Field("The default model's own name first.")] = None
    next_page_token: Annotated[str | None, Field(_PAGE_TOKEN)] = None


class GenerateContentRequest(ProtoMessage, frozen=True, kw_only=True):
    """What a generateContent call would send; only its contents are counted."""

    ignores_unknown: ClassVar[bool] = True

    contents: Annotated[list[Content] | None, Field("The contents.")] = None


class CountTokensRequest(ProtoMessage, frozen=True, kw_only=True):
    """Contents to count."""

    more_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [
            {"required": ["contents"], "properties": {"contents": {"minItems": 1}}},
            {
                "required": ["generateContentRequest"],
                "properties": {
                    "generateContentRequest": {"required": ["contents"], "properties": {"contents": {"minItems": 1}}}
                },
            },
        ]
    }

    model: Annotated[str | None, Field("Ignored: the model is in the URL.")] = None
    contents: Annotated[list[Content] | None, Field("The contents; at least one.")] = None
    generate_content_request: Annotated[
        GenerateContentRequest | None, Field("The contents as some SDKs send them.")
    ] = None

    def check(self) -> None:
        """Refuse a call without contents."""
        if not self.texts:
            raise Refused(_NO_CONTENTS, at=("contents",))

    @property
    def texts(self) -> list[str]:
        """The text of each content."""
        nested = self.generate_content_request
        contents = self.contents or (nested and nested.contents) or []
        return [content.text for content in contents]


class CountTokensResponse(ProtoMessage, frozen=True, kw_only=True):
    """Tokens."""

    total_tokens: Annotated[int | None, Field("Total tokens of all contents.")] = None
    prompt_tokens_details: Annotated[list[ModalityTokenCount] | None, Field("The same by modality: TEXT only.")] = None

    @classmethod
    def of(cls, token_count: int) -> CountTokensResponse:
        """Return the answer for contents with `token_count` tokens in total."""
        return cls(total_tokens=token_count, prompt_tokens_details=[ModalityTokenCount(token_count=token_count)])
