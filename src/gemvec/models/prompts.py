"""What a model wants before a text, per task type: from prompts, task type and title to the text really embedded.

A prompt is a prefix. `{title}` in it stands for the title, `none` when there is none; a prompt without it gets the
title on a line of its own before the text. Nothing in a text or a title is ever read as a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemvec.embedding.task_type import TaskType

_TITLE = "{title}"
_QUERIES = (
    TaskType.RETRIEVAL_QUERY,
    TaskType.QUESTION_ANSWERING,
    TaskType.FACT_VERIFICATION,
    TaskType.CODE_RETRIEVAL_QUERY,
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one model.

    Attributes:
        by_task: prefix by task type.
        default: prefix for the task types that `by_task` does not name, the unspecified one among them.
    """

    by_task: Mapping[TaskType, str] = field(default_factory=dict[TaskType, str])
    default: str = ""


def apply_prompt(prompts: Prompts, text: str, task_type: TaskType, title: str | None = None) -> str:
    r"""Return the text that is really embedded: the model's prompt, the title, the text.

    >>> apply_prompt(EMBEDDINGGEMMA, "He was born in London.", TaskType.RETRIEVAL_DOCUMENT, "Turing")
    'title: Turing | text: He was born in London.'
    >>> apply_prompt(NO_PROMPTS, "He was born in London.", TaskType.RETRIEVAL_DOCUMENT, "Turing")
    'Turing\nHe was born in London.'
    """
    prefix = prompts.by_task.get(task_type, prompts.default)
    if _TITLE in prefix:
        return prefix.replace(_TITLE, title or "none") + text
    return f"{prefix}{title}\n{text}" if title else prefix + text


def _queries_and_documents(query: str, document: str, default: str) -> Prompts:
    by_task = dict.fromkeys(_QUERIES, query) | {TaskType.RETRIEVAL_DOCUMENT: document}
    return Prompts(by_task, default)


NO_PROMPTS = Prompts()

# Source: the model cards of intfloat/e5-*-v2 and intfloat/multilingual-e5-*: "query: " also for symmetric tasks and for
# embeddings used as features.
E5 = _queries_and_documents("query: ", "passage: ", "query: ")

# Source: the model cards of BAAI/bge-*-en-v1.5: an instruction before short queries that search passages, nothing else.
BGE = _queries_and_documents("Represent this sentence for searching relevant passages: ", "", "")

# Source: the model card of google/embeddinggemma-300m; Google's page on gemini-embedding-2 has the same templates.
EMBEDDINGGEMMA = Prompts(
    {
        TaskType.RETRIEVAL_QUERY: "task: search result | query: ",
        TaskType.RETRIEVAL_DOCUMENT: "title: {title} | text: ",
        TaskType.SEMANTIC_SIMILARITY: "task: sentence similarity | query: ",
        TaskType.CLASSIFICATION: "task: classification | query: ",
        TaskType.CLUSTERING: "task: clustering | query: ",
        TaskType.QUESTION_ANSWERING: "task: question answering | query: ",
        TaskType.FACT_VERIFICATION: "task: fact checking | query: ",
        TaskType.CODE_RETRIEVAL_QUERY: "task: code retrieval | query: ",
    }
)

# Names that prompts have in config_sentence_transformers.json, the most telling first.
_CONFIG_NAMES = {
    TaskType.RETRIEVAL_QUERY: ("Retrieval-query", "query", "search_query", "s2p_query"),
    TaskType.RETRIEVAL_DOCUMENT: ("Retrieval-document", "document", "passage", "search_document"),
    TaskType.SEMANTIC_SIMILARITY: ("STS", "sts", "similarity", "text-matching", "s2s_query"),
    TaskType.CLASSIFICATION: ("Classification", "classification"),
    TaskType.CLUSTERING: ("Clustering", "clustering"),
}


def prompts_from_config(named: Mapping[str, str], default_name: str | None = None) -> Prompts:
    """Return the prompts that a model's config_sentence_transformers.json names.

    Args:
        named: its `prompts`.
        default_name: its `default_prompt_name`.
    """
    by_task = {
        task: next(named[name] for name in names if name in named)
        for task, names in _CONFIG_NAMES.items()
        if any(name in named for name in names)
    }
    if by_task.get(TaskType.RETRIEVAL_DOCUMENT) == "title: none | text: ":
        return EMBEDDINGGEMMA
    if TaskType.RETRIEVAL_QUERY in by_task:
        by_task = dict.fromkeys(_QUERIES, by_task[TaskType.RETRIEVAL_QUERY]) | by_task
    return Prompts(by_task, named.get(default_name or "", ""))
