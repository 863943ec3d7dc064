"""The messages of the API as JSON Schema, by name: what `/openapi.json` and `/docs` say of each field.

The parsers in `wire` are what is obeyed; this describes them. Fields are given in canonical spelling; snake_case is
taken, too.
"""

from __future__ import annotations

from gemvec.server.schema import Schema, boolean, int64, integer, many, message, ref, text, timestamp
from gemvec.wire.batches import BatchState
from gemvec.wire.task_type import TaskType

_NUMBERS: Schema = {"type": "array", "items": {"type": "number", "format": "float"}}
_TEXTS_OR_TOKENS: Schema = {
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
_TASK_TYPE: Schema = {
    "type": "string",
    "enum": [each.name for each in TaskType],
    "description": "What the vector is for; picks the model's prompt.",
}
_DIMENSIONALITY = integer("Values wanted in the vector; the model's default when absent.", minimum=1)
_TITLE = text("Title of the text; only with RETRIEVAL_DOCUMENT.")

SCHEMAS: dict[str, Schema] = {
    "EmbedContentRequest": message(
        "One content to embed.",
        "content",
        model=text("`models/{model}`; may be left out, and must be the URL's where it is there."),
        content=ref("Content", "What to embed; the texts of its parts together are one vector."),
        taskType=_TASK_TYPE,
        title=_TITLE,
        outputDimensionality=_DIMENSIONALITY,
        embedContentConfig=ref("EmbedContentConfig", "The same options, as newer clients nest them."),
    ),
    "EmbedContentConfig": message(
        "Options of an embedding; those beside the content win over these.",
        taskType=_TASK_TYPE,
        title=_TITLE,
        outputDimensionality=_DIMENSIONALITY,
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
    "ContentEmbedding": message("A vector.", values=_NUMBERS | {"description": "Its values, float32."}),
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
    "OpenAIEmbeddingsRequest": message(
        "Texts to embed.",
        "input",
        input=_TEXTS_OR_TOKENS,
        model=text("A served name; the default model when absent."),
        dimensions=_DIMENSIONALITY,
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
                embedding={"anyOf": [_NUMBERS, {"type": "string"}], "description": "Values, or base64."},
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
    "TEIEmbedRequest": message(
        "Texts to embed with the default model.",
        "inputs",
        inputs=_TEXTS_OR_TOKENS,
        truncate=boolean("Cut a text that is too long (true) or refuse it (false).", default=False),
        prompt_name=text(
            "What the vectors are for.",
            enum=["query", "search_query", "document", "passage", "search_document", "classification", "clustering"],
        ),
        dimensions=_DIMENSIONALITY,
        normalize=boolean("Only true is served.", enum=[True], default=True),
        truncation_direction=text("Only Right is served.", enum=["Right"], default="Right"),
    ),
    "TEIEmbedResponse": {"type": "array", "items": _NUMBERS, "description": "The vectors, in the order of the inputs."},
    "TEIInfo": message(
        "What is served.",
        model_id=text("The default model's id."),
        model_sha=text("First eight characters of the SHA-256 of its weights."),
        max_input_length=integer("Longer texts are cut or refused, in tokens."),
        max_batch_tokens=integer("Tokens that may wait before requests are refused."),
        auto_truncate=boolean("Always false: a text that is too long is refused unless `truncate` is true."),
        version=text("gemvec's version."),
        models=many({"type": "string"}, "The names that the caller may use."),
        limits={
            "type": "object",
            "description": "What the caller may have: texts_per_call, body_bytes, requests_per_minute and the like.",
            "additionalProperties": {"type": ["integer", "null"]},
        },
    ),
    "Health": message("How it stands.", status=text("alive or ready")),
    "Welcome": message(
        "What this is.",
        name=text("gemvec"),
        version=text("gemvec's version."),
        weights=text("The default model's weights."),
        models=many({"type": "string"}, "The names that are served."),
        docs=text("Where to read on."),
    ),
    "File": message(
        "A file.",
        name=text("`files/{file}`"),
        displayName=text("A name for people."),
        mimeType=text("As the uploader said it."),
        sizeBytes=int64("Number of bytes."),
        createTime=timestamp("When its upload was complete."),
        updateTime=timestamp("When it last changed."),
        expirationTime=timestamp("When it will be deleted."),
        sha256Hash=text("Base64 of the hexadecimal SHA-256 of the bytes; absent for the results of a batch."),
        uri=text("Where this description is."),
        downloadUri=text("Where the bytes are."),
        state=text("ACTIVE"),
        source=text("Where it came from.", enum=["UPLOADED", "GENERATED"]),
    ),
    "CreateFileRequest": message(
        "What a file will be.",
        file=message(
            "All of it may be left out.",
            name=text("`files/{file}`: up to 40 lower-case letters, digits and inner dashes; one is made when absent."),
            displayName=text("A name for people, at most 512 characters."),
            mimeType=text("Any string."),
            sizeBytes=int64("How many bytes will come."),
        ),
    ),
    "CreateFileResponse": message("The file, when its upload is complete.", file=ref("File")),
    "ListFilesResponse": message(
        "A page of files.",
        files=many(ref("File"), "The newest first; absent when there is none."),
        nextPageToken=text("`pageToken` of the next page; absent on the last."),
    ),
    "AsyncBatchEmbedContentRequest": message("A batch to accept.", "batch", batch=ref("EmbedContentBatch")),
    "EmbedContentBatch": message(
        "A batch. Of a request, only display name, input, model and priority are read.",
        "inputConfig",
        name=text("`batches/{batch}`"),
        model=text("`models/{model}`; may be left out, and must be the URL's where it is there."),
        displayName=text("A name for people, at most 512 characters."),
        inputConfig=message(
            "One of the two.",
            fileName=text("`files/{file}`: JSONL, one `{key, request}` a line."),
            requests=message("Inline requests.", requests=many(ref("InlinedEmbedContentRequest"), "At least one.")),
        ),
        output=ref("EmbedContentBatchOutput", "Present when it has ended."),
        createTime=timestamp("When it was accepted."),
        updateTime=timestamp("When anything last changed, progress included."),
        endTime=timestamp("When it ended."),
        batchStats=message(
            "How many requests; the last three add up to the first.",
            requestCount=int64("All."),
            successfulRequestCount=int64("With a response."),
            failedRequestCount=int64("With an error."),
            pendingRequestCount=int64("With neither."),
        ),
        state=text("Where it stands.", enum=[f"BATCH_STATE_{state}" for state in BatchState]),
        priority=int64("Higher goes first; negatives are allowed."),
        waitingReason=text("Why an open batch does not go on: no room on disk, or its weights are not served."),
    ),
    "InlinedEmbedContentRequest": message(
        "One request of a batch.",
        "request",
        request=ref("EmbedContentRequest"),
        metadata={"type": "object", "description": "Anything; comes back with the response."},
    ),
    "EmbedContentBatchOutput": message(
        "One of the two.",
        responsesFile=text("`files/{file}`: JSONL, one `{key, response}` or `{key, error}` a line, in input order."),
        inlinedResponses=message(
            "Inline results.",
            inlinedResponses=many(
                message(
                    "One result.",
                    metadata={"type": "object", "description": "As it came with the request."},
                    response=message("The vector.", embedding=ref("ContentEmbedding"), tokenCount=int64("Tokens.")),
                    error=ref("Status"),
                ),
                "In the order of the requests.",
            ),
        ),
    ),
    "Operation": message(
        "A batch as a long-running operation.",
        name=text("`batches/{batch}`"),
        metadata=ref("EmbedContentBatch"),
        done=boolean("Whether it has ended."),
        response=ref("EmbedContentBatchOutput", "The results again, when it succeeded."),
        error=ref("Status", "Why it did not, when it ended otherwise."),
    ),
    "ListOperationsResponse": message(
        "A page of batches.",
        operations=many(ref("Operation"), "The newest first."),
        nextPageToken=text("`pageToken` of the next page; absent on the last."),
    ),
    "Status": message("google.rpc.Status.", code=integer("A google.rpc.Code number."), message=text("For people.")),
    "Empty": message("Nothing."),
    "Error": message(
        "What went wrong.",
        error=message(
            "google.rpc.Status as HTTP carries it.",
            code=integer("The HTTP status."),
            message=text("For people."),
            status=text("The canonical name, such as INVALID_ARGUMENT."),
            details=many({"type": "object"}, "google.rpc messages: BadRequest, RetryInfo, ErrorInfo, RequestInfo."),
        ),
    ),
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
    "TEIError": message(
        "What went wrong.", error=text("For people."), error_type=text("Validation, Overloaded, Backend or Unhealthy.")
    ),
}
