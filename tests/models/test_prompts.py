"""What is embedded is the model's prompt, the title and the text, and nothing in a text acts as a placeholder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.task_type import TaskType
from gemvec.models.prompts import (
    ARCTIC_2,
    BGE,
    E5,
    EMBEDDINGGEMMA,
    NO_PROMPTS,
    NOMIC,
    apply_prompt,
    find_prompts,
    prompts_from_config,
)

QUERIES = [
    TaskType.RETRIEVAL_QUERY,
    TaskType.QUESTION_ANSWERING,
    TaskType.FACT_VERIFICATION,
    TaskType.CODE_RETRIEVAL_QUERY,
]
SYMMETRIC = [
    TaskType.TASK_TYPE_UNSPECIFIED,
    TaskType.SEMANTIC_SIMILARITY,
    TaskType.CLASSIFICATION,
    TaskType.CLUSTERING,
]


@given(st.text(), st.sampled_from(TaskType))
def test_a_model_without_prompts_embeds_the_text_itself(text, task_type):
    assert apply_prompt(NO_PROMPTS, text, task_type) == text


def test_a_model_without_prompts_gets_the_title_on_a_line_before_the_text():
    assert apply_prompt(NO_PROMPTS, "text", TaskType.RETRIEVAL_DOCUMENT, "Title") == "Title\ntext"


@pytest.mark.parametrize(
    ("task_type", "prefix"),
    [
        (TaskType.RETRIEVAL_QUERY, "task: search result | query: "),
        (TaskType.RETRIEVAL_DOCUMENT, "title: none | text: "),
        (TaskType.SEMANTIC_SIMILARITY, "task: sentence similarity | query: "),
        (TaskType.CLASSIFICATION, "task: classification | query: "),
        (TaskType.CLUSTERING, "task: clustering | query: "),
        (TaskType.QUESTION_ANSWERING, "task: question answering | query: "),
        (TaskType.FACT_VERIFICATION, "task: fact checking | query: "),
        (TaskType.CODE_RETRIEVAL_QUERY, "task: code retrieval | query: "),
        (TaskType.TASK_TYPE_UNSPECIFIED, "title: none | text: "),
    ],
)
def test_embeddinggemma_has_a_template_for_every_task(task_type, prefix):
    assert apply_prompt(EMBEDDINGGEMMA, "text", task_type) == prefix + "text"


def test_embeddinggemma_puts_the_title_into_its_template():
    assert apply_prompt(EMBEDDINGGEMMA, "text", TaskType.RETRIEVAL_DOCUMENT, "Title") == "title: Title | text: text"


@pytest.mark.parametrize("task_type", TaskType)
def test_e5_marks_passages_and_calls_everything_else_a_query(task_type):
    prefix = "passage: " if task_type is TaskType.RETRIEVAL_DOCUMENT else "query: "
    assert apply_prompt(E5, "text", task_type) == prefix + "text"


def test_e5_puts_the_title_after_the_mark():
    assert apply_prompt(E5, "text", TaskType.RETRIEVAL_DOCUMENT, "Title") == "passage: Title\ntext"


@pytest.mark.parametrize("task_type", TaskType)
def test_bge_instructs_queries_only(task_type):
    prefix = "Represent this sentence for searching relevant passages: " if task_type in QUERIES else ""
    assert apply_prompt(BGE, "text", task_type) == prefix + "text"


@given(st.text(), st.sampled_from(["{title}", "{text}", "{", "}", "{0}", "%s"]))
def test_braces_in_texts_and_titles_stay_as_they_are(text, braces):
    whole = apply_prompt(EMBEDDINGGEMMA, braces + text, TaskType.RETRIEVAL_DOCUMENT, "a" + braces)
    assert whole == f"title: a{braces} | text: {braces}{text}"


def test_prompts_of_a_config_are_found_by_their_usual_names():
    prompts = prompts_from_config({"query": "q: ", "document": "d: ", "STS": "s: "})
    expected = dict.fromkeys(QUERIES, "q: ") | {TaskType.RETRIEVAL_DOCUMENT: "d: ", TaskType.SEMANTIC_SIMILARITY: "s: "}
    expected |= {TaskType.TASK_TYPE_UNSPECIFIED: "d: "}
    assert {task: apply_prompt(prompts, "", task) for task in TaskType} == dict.fromkeys(TaskType, "") | expected


def test_the_default_prompt_of_a_config_serves_tasks_without_their_own():
    prompts = prompts_from_config({"query": "q: ", "similar": "s: "}, "similar")
    assert {apply_prompt(prompts, "", task) for task in SYMMETRIC} == {"s: "}
    assert apply_prompt(prompts, "", TaskType.RETRIEVAL_QUERY) == "q: "


def test_a_config_with_gemmas_templates_gets_all_of_them():
    assert prompts_from_config({"document": "title: none | text: ", "query": "task: ..."}) == EMBEDDINGGEMMA


@pytest.mark.parametrize("prompts", [NO_PROMPTS, E5, BGE, NOMIC, ARCTIC_2, EMBEDDINGGEMMA])
def test_an_unspecified_task_type_equals_one_of_the_others(prompts):
    assert prompts.unspecified != TaskType.TASK_TYPE_UNSPECIFIED
    same = apply_prompt(prompts, "text", prompts.unspecified)
    assert apply_prompt(prompts, "text", TaskType.TASK_TYPE_UNSPECIFIED) == same


def test_an_unspecified_task_type_is_a_document_unless_the_config_names_a_default():
    named = {"query": "q: ", "document": "d: ", "STS": "s: "}
    assert prompts_from_config(named).unspecified is TaskType.RETRIEVAL_DOCUMENT
    assert prompts_from_config(named, "STS").unspecified is TaskType.SEMANTIC_SIMILARITY
    assert prompts_from_config(named, "query").unspecified is TaskType.RETRIEVAL_QUERY


@pytest.mark.parametrize(
    "name",
    ["intfloat/multilingual-e5-base", "/models/e5-small-v2", "models--intfloat--e5-large-v2/snapshots/0a1b", "E5-base"],
)
def test_a_family_is_known_by_the_name_of_its_repository_or_folder(name):
    assert find_prompts(["other", name]) is E5


@pytest.mark.parametrize("name", ["my-e5-small-tune", "bge-m3", "gte-base", ""])
def test_another_model_has_no_familys_prompts(name):
    assert find_prompts([name]) is None
