"""What is embedded is the model's prompt, the title and the text, and nothing in a text acts as a placeholder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.embedding.task_type import TaskType
from gemvec.models.prompts import BGE, E5, EMBEDDINGGEMMA, NO_PROMPTS, apply_prompt, prompts_from_config

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
        (TaskType.TASK_TYPE_UNSPECIFIED, ""),
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
    assert {task: apply_prompt(prompts, "", task) for task in TaskType} == dict.fromkeys(TaskType, "") | expected


def test_the_default_prompt_of_a_config_serves_tasks_without_their_own():
    prompts = prompts_from_config({"query": "q: ", "similar": "s: "}, "similar")
    assert {apply_prompt(prompts, "", task) for task in SYMMETRIC} == {"s: "}
    assert apply_prompt(prompts, "", TaskType.RETRIEVAL_QUERY) == "q: "


def test_a_config_with_gemmas_templates_gets_all_of_them():
    assert prompts_from_config({"document": "title: none | text: ", "query": "task: ..."}) == EMBEDDINGGEMMA
