"""The messages of models.list and models.get."""

from __future__ import annotations

from gemvec.server.schema import Schema, integer, many, message, ref, text

SCHEMAS: dict[str, Schema] = {
    "Model": message(
        "A name that is served.",
        name=text("`models/{model}`"),
        version=text("First eight characters of the SHA-256 of the weights that serve it."),
        displayName=text("A name for people."),
        description=text("Which weights serve it."),
        inputTokenLimit=integer("Longer texts are cut or refused."),
        outputTokenLimit=integer("Always 1."),
        supportedGenerationMethods=many({"type": "string"}, "What may be called on it."),
    ),
    "ListModelsResponse": message(
        "A page of models.",
        models=many(ref("Model"), "The default model's own name first."),
        nextPageToken=text("`pageToken` of the next page; absent on the last."),
    ),
}
