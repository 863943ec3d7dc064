"""The messages of embedContent, batchEmbedContents and countTokens."""

from __future__ import annotations

from gemvec.embedding.task_type import TaskType
from gemvec.server.schema import Schema, boolean, integer, many, message, ref, text

NUMBERS: Schema = {"type": "array", "items": {"type": "number", "format": "float"}}
_TASK_TYPE: Schema = {
    "type": "string",
    "enum": [each.name for each in TaskType],
    "description": "What the vector is for; picks the model's prompt.",
}
DIMENSIONALITY = integer("Values wanted in the vector; the model's default when absent.", minimum=1)
_TITLE = text("Title of the text; only with RETRIEVAL_DOCUMENT.")

SCHEMAS: dict[str, Schema] = {
    "EmbedContentRequest": message(
        "One content to embed.",
        "content",
        model=text("`models/{model}`; may be left out, and must be the URL's where it is there."),
        content=ref("Content", "What to embed; the texts of its parts together are one vector."),
        taskType=_TASK_TYPE,
        title=_TITLE,
        outputDimensionality=DIMENSIONALITY,
        embedContentConfig=ref("EmbedContentConfig", "The same options, as newer clients nest them."),
    ),
    "EmbedContentConfig": message(
        "Options of an embedding; those beside the content win over these.",
        taskType=_TASK_TYPE,
        title=_TITLE,
        outputDimensionality=DIMENSIONALITY,
        autoTruncate=boolean("Cut a text that is too long (true) or refuse it (false).", default=True),
    ),
    "Content": message(
        "A text in parts.",
        "parts",
        role=text("Ignored."),
        parts=many(ref("Part"), "At least one with text.", minItems=1),
    ),
    "Part": message("A part of a content; only text counts.", "text", text=text("The text.", minLength=1)),
    "EmbedContentResponse": message(
        "One vector.", embedding=ref("ContentEmbedding"), usageMetadata=ref("EmbeddingUsageMetadata")
    ),
    "ContentEmbedding": message("A vector.", values=NUMBERS | {"description": "Its values, float32."}),
    "EmbeddingUsageMetadata": message(
        "What was embedded, in tokens.",
        promptTokenCount=integer("Tokens of all texts together."),
        promptTokenDetails=many(ref("ModalityTokenCount"), "The same by modality: TEXT only."),
    ),
    "ModalityTokenCount": message("Tokens of one modality.", modality=text("TEXT"), tokenCount=integer("Tokens.")),
    "BatchEmbedContentsRequest": message(
        "Several contents to embed, each with its own options.",
        "requests",
        requests=many(ref("EmbedContentRequest"), "At least one.", minItems=1),
    ),
    "BatchEmbedContentsResponse": message(
        "The vectors.",
        embeddings=many(ref("ContentEmbedding"), "In the order of the requests."),
        usageMetadata=ref("EmbeddingUsageMetadata"),
    ),
    "CountTokensRequest": message(
        "Contents to count.", "contents", contents=many(ref("Content"), "At least one.", minItems=1)
    ),
    "CountTokensResponse": message(
        "Tokens.",
        totalTokens=integer("Tokens of all contents together."),
        promptTokensDetails=many(ref("ModalityTokenCount"), "The same by modality: TEXT only."),
    ),
}
