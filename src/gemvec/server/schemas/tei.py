"""The messages of text-embeddings-inference's routes."""

from __future__ import annotations

from gemvec.server.schema import Schema, boolean, integer, many, message, text
from gemvec.server.schemas.embed import DIMENSIONALITY, NUMBERS
from gemvec.server.schemas.openai import TEXTS_OR_TOKENS

SCHEMAS: dict[str, Schema] = {
    "TEIEmbedRequest": message(
        "Texts to embed with the default model.",
        "inputs",
        inputs=TEXTS_OR_TOKENS,
        truncate=boolean("Cut a text that is too long (true) or refuse it (false).", default=False),
        prompt_name=text(
            "What the vectors are for.",
            enum=["query", "search_query", "document", "passage", "search_document", "classification", "clustering"],
        ),
        dimensions=DIMENSIONALITY,
        normalize=boolean("Only true is served.", enum=[True], default=True),
        truncation_direction=text("Only Right is served.", enum=["Right"], default="Right"),
    ),
    "TEIEmbedResponse": {"type": "array", "items": NUMBERS, "description": "The vectors, in the order of the inputs."},
    "TEIInfo": message(
        "What is served: text-embeddings-inference's fields, then `models` and `limits`.",
        model_id=text("The default model's id."),
        model_sha=text("First eight characters of the SHA-256 of its weights."),
        model_dtype=text("float32: what the vectors are."),
        served_model_name=text("The default model's served name."),
        model_type=message("`embedding`.", embedding=message("How.", pooling=text("mean or cls, where it is known."))),
        max_concurrent_requests=integer("Requests that may wait, if each were one token."),
        max_input_length=integer("Longer texts are cut or refused, in tokens."),
        max_batch_tokens=integer("Tokens computed at once, padding included."),
        max_batch_requests={"type": "null", "description": "Always null: tokens are what is counted."},
        max_client_batch_size=integer("Inputs to send in one call; more are taken unless `limits` says otherwise."),
        auto_truncate=boolean("Always false: a text that is too long is refused unless `truncate` is true."),
        tokenization_workers=integer("Processors that tokenize."),
        version=text("gemvec's version."),
        sha={"type": "null", "description": "Always null."},
        docker_label={"type": "null", "description": "Always null."},
        models=many({"type": "string"}, "The names that the caller may use."),
        limits={
            "type": "object",
            "description": "What the caller may have: texts_per_call, body_bytes, requests_per_minute and the like.",
            "additionalProperties": {"type": ["integer", "null"]},
        },
    ),
    "TEIError": message(
        "What went wrong.", error=text("For people."), error_type=text("Validation, Overloaded, Backend or Unhealthy.")
    ),
}
