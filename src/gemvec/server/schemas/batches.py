"""The messages of batches and their operations."""

from __future__ import annotations

from gemvec.server.schema import Schema, boolean, int64, many, message, ref, text, timestamp
from gemvec.wire.batches import BatchState

SCHEMAS: dict[str, Schema] = {
    "AsyncBatchEmbedContentRequest": message("A batch to accept.", "batch", batch=ref("EmbedContentBatch")),
    "EmbedContentBatch": message(
        "A batch. Of a request, only display name, input, model and priority are read.",
        "inputConfig",
        name=text("`batches/{batch}`"),
        model=text("`models/{model}`; may be left out, and must be the URL's where it is there."),
        displayName=text("A name for people, at most 512 characters."),
        inputConfig=message(
            "One of the two; in answers the file, inline requests are not sent back.",
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
}
