"""What a model expects before a text, by task type: from prompts, task type and title to the embedded text.

A prompt is a prefix. `{title}` in it is replaced by the title, or by `none` if there is no title; if the prompt has no
`{title}`, the title goes on its own line before the text. Nothing in a text or a title is treated as a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gemvec.embedding.task_type import QUERY_TASKS, TaskType

_TITLE = "{title}"


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of one model.

    Attributes:
        by_task: prefix by task type.
        default: prefix for other task types.
        unspecified: the task type that replaces TASK_TYPE_UNSPECIFIED: the one that the model's card recommends if no
            task is given, else RETRIEVAL_DOCUMENT.
    """

    by_task: Mapping[TaskType, str] = field(default_factory=dict[TaskType, str])
    default: str = ""
    unspecified: TaskType = TaskType.RETRIEVAL_DOCUMENT

    def of(self, task_type: TaskType) -> str:
        """Return the prefix for a task type."""
        if task_type == TaskType.TASK_TYPE_UNSPECIFIED:
            task_type = self.unspecified
        return self.by_task.get(task_type, self.default)


def apply_prompt(prompts: Prompts, text: str, task_type: TaskType, title: str | None = None) -> str:
    r"""Return the text that is embedded: the model's prompt, the title, the text.

    >>> apply_prompt(EMBEDDINGGEMMA, "He was born in London.", TaskType.RETRIEVAL_DOCUMENT, "Turing")
    'title: Turing | text: He was born in London.'
    >>> apply_prompt(NO_PROMPTS, "He was born in London.", TaskType.RETRIEVAL_DOCUMENT, "Turing")
    'Turing\nHe was born in London.'
    """
    prefix = prompts.of(task_type)
    if _TITLE in prefix:
        return prefix.replace(_TITLE, title or "none") + text
    return f"{prefix}{title}\n{text}" if title else prefix + text


def _queries_and_documents(
    query: str, document: str, default: str, unspecified: TaskType = TaskType.RETRIEVAL_DOCUMENT
) -> Prompts:
    by_task = dict.fromkeys(QUERY_TASKS, query) | {TaskType.RETRIEVAL_DOCUMENT: document}
    return Prompts(by_task, default, unspecified)


NO_PROMPTS = Prompts()

# Source: the model cards of intfloat/e5-*-v2 and intfloat/multilingual-e5-*: "query: " also for symmetric tasks and for
# embeddings used as features.
E5 = _queries_and_documents("query: ", "passage: ", "query: ", TaskType.SEMANTIC_SIMILARITY)

# Source: the model cards of BAAI/bge-*-en-v1.5: only short queries for searching passages have an instruction.
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

# Source: the model cards of nomic-ai/nomic-embed-text-v1 and -v1.5.
NOMIC = Prompts(
    dict.fromkeys(QUERY_TASKS, "search_query: ")
    | {
        TaskType.RETRIEVAL_DOCUMENT: "search_document: ",
        TaskType.CLASSIFICATION: "classification: ",
        TaskType.CLUSTERING: "clustering: ",
        TaskType.SEMANTIC_SIMILARITY: "classification: ",
    },
    "search_document: ",
)

# Source: the model cards of Snowflake/snowflake-arctic-embed-*-v2.0.
ARCTIC_2 = _queries_and_documents("query: ", "", "")

# Families whose prompts are on their model cards but not always in their files, by the end of a model's name.
_FAMILIES = (
    (r"(multilingual-)?e5-(small|base|large)(-v2)?", E5),
    (r"bge-(small|base|large)-en(-v1\.5)?", BGE),
    (r"mxbai-embed-(large|xsmall)-v1", BGE),
    (r"snowflake-arctic-embed-(xs|s|m|l|m-long|m-v1\.5)", BGE),
    (r"snowflake-arctic-embed-(m|l)-v2\.0", ARCTIC_2),
    (r"nomic-embed-text-v1(\.5)?", NOMIC),
    (r"embeddinggemma-300m(-.*)?", EMBEDDINGGEMMA),
)


def find_prompts(names: Iterable[str]) -> Prompts | None:
    """Return the prompts of the first family that a name belongs to, or None.

    Args:
        names: hub ids, folders, and names in a model's files; a folder in the hub's own cache names its repository.

    >>> find_prompts(["/home/me/models/multilingual-e5-small"]) is E5
    True
    """
    for name in names:
        for part in re.split(r"[/\\]|--", name.lower()):
            for pattern, prompts in _FAMILIES:
                if re.fullmatch(pattern, part):
                    return prompts
    return None


# Names of prompts in config_sentence_transformers.json, the most specific first.
_CONFIG_NAMES = {
    TaskType.RETRIEVAL_QUERY: ("Retrieval-query", "query", "search_query", "s2p_query", "retrieval.query"),
    TaskType.RETRIEVAL_DOCUMENT: ("Retrieval-document", "document", "passage", "search_document", "retrieval.passage"),
    TaskType.SEMANTIC_SIMILARITY: ("STS", "sts", "similarity", "text-matching", "s2s_query"),
    TaskType.CLASSIFICATION: ("Classification", "classification"),
    TaskType.CLUSTERING: ("Clustering", "clustering", "separation"),
}


def prompts_from_config(named: Mapping[str, str], default_name: str | None = None) -> Prompts:
    """Return the prompts in a model's config_sentence_transformers.json.

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
        by_task = dict.fromkeys(QUERY_TASKS, by_task[TaskType.RETRIEVAL_QUERY]) | by_task
    default = named.get(default_name or "", "")
    prompts = Prompts(by_task, default)
    if not default_name:
        return prompts
    with_default = (task for task in TaskType if task != TaskType.TASK_TYPE_UNSPECIFIED and prompts.of(task) == default)
    return replace(prompts, unspecified=next(with_default, TaskType.RETRIEVAL_DOCUMENT))
