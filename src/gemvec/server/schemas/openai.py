"""The messages of OpenAI's routes."""

from __future__ import annotations

from gemvec.server.schema import Schema, integer, many, message, ref, text
from gemvec.server.schemas.embed import DIMENSIONALITY, NUMBERS

TEXTS_OR_TOKENS: Schema = {
    "description": "A text, texts, the token ids of one text, or of several.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 100255}},
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 100255}},
        },
    ],
}

SCHEMAS: dict[str, Schema] = {
    "OpenAIEmbeddingsRequest": message(
        "Texts to embed.",
        "input",
        input=TEXTS_OR_TOKENS,
        model=text("A served name; the default model when absent."),
        dimensions=DIMENSIONALITY,
        encoding_format=text("base64 is little-endian float32.", enum=["float", "base64"], default="float"),
        user=text("Ignored."),
    ),
    "OpenAIEmbeddingsResponse": message(
        "The vectors.",
        object=text("list"),
        data=many(
            message(
                "A vector.",
                object=text("embedding"),
                index=integer("Its place among the inputs."),
                embedding={"anyOf": [NUMBERS, {"type": "string"}], "description": "Values, or base64."},
            ),
            "In the order of the inputs.",
        ),
        model=text("The served name."),
        usage=message("Tokens.", prompt_tokens=integer("Tokens."), total_tokens=integer("The same.")),
    ),
    "OpenAIModel": message(
        "A name that is served.",
        id=text("The name."),
        object=text("model"),
        created=integer("Always 0."),
        owned_by=text("gemvec"),
    ),
    "OpenAIModels": message("All names.", object=text("list"), data=many(ref("OpenAIModel"), "Each name.")),
    "OpenAIError": message(
        "What went wrong.",
        error=message(
            "OpenAI's error.",
            message=text("For people."),
            type=text("Its kind."),
            param={"type": ["string", "null"], "description": "The field at fault."},
            code={"type": ["string", "null"], "description": "Its name."},
        ),
    ),
}
