"""The messages of models.list, models.get and models.countTokens."""

from __future__ import annotations

from typing import Any

from gemvec.errors import InvalidRequest
from gemvec.wire.embed import parse_content
from gemvec.wire.message import Message
from gemvec.wire.names import format_model_name

METHODS = ["embedContent", "batchEmbedContents", "asyncBatchEmbedContent", "countTokens"]


def model_to_wire(*, model: str, version: str, display_name: str, description: str, token_limit: int) -> dict[str, Any]:
    """Return a Model resource."""
    return {
        "name": format_model_name(model),
        "version": version,
        "displayName": display_name,
        "description": description,
        "inputTokenLimit": token_limit,
        "outputTokenLimit": 1,
        "supportedGenerationMethods": METHODS,
    }


def parse_count_tokens_request(message: Message) -> list[str]:
    """Read a CountTokensRequest: its `contents`, or those of a nested `generateContentRequest`.

    Raises:
        InvalidRequest: a field is wrong or unknown, or there are no contents.
    """
    message.take_text("model")  # the URL names the model; some SDKs repeat it here
    nested = message.take_message("generate_content_request")
    contents = message.take_messages("contents") or (nested.take_messages("contents") if nested else [])
    message.close()
    if not contents:
        raise InvalidRequest("* CountTokensRequest.contents: contents is not specified\n", field="contents")
    return [parse_content(content) for content in contents]


def count_tokens_response_to_wire(token_count: int) -> dict[str, Any]:
    """Return a CountTokensResponse."""
    return {"totalTokens": token_count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": token_count}]}
