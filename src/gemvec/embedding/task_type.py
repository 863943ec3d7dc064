"""What an embedding will be used for: `TaskType`, named and numbered as in Google's API reference."""

from __future__ import annotations

from enum import IntEnum


class TaskType(IntEnum):
    """Type of task for which the embedding will be used. Source: Google's API reference for embeddings."""

    TASK_TYPE_UNSPECIFIED = 0
    RETRIEVAL_QUERY = 1
    RETRIEVAL_DOCUMENT = 2
    SEMANTIC_SIMILARITY = 3
    CLASSIFICATION = 4
    CLUSTERING = 5
    QUESTION_ANSWERING = 6
    FACT_VERIFICATION = 7
    CODE_RETRIEVAL_QUERY = 8


# The task types of queries; what they are compared with has RETRIEVAL_DOCUMENT.
QUERY_TASKS = (
    TaskType.RETRIEVAL_QUERY,
    TaskType.QUESTION_ANSWERING,
    TaskType.FACT_VERIFICATION,
    TaskType.CODE_RETRIEVAL_QUERY,
)
