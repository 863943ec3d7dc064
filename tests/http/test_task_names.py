"""Query or passage on the routes of other services: each field that names a task chooses the model's prompt."""

import json
import shutil

import pytest

from gemvec.models.local import open_embedder
from gemvec.settings import Settings

TEXT = "the dog"
PROMPTS = {"query": "query: ", "document": "passage: ", "STS": "text: ", "Clustering": "group: "}
NAMES = [
    ("task_type", "RETRIEVAL_QUERY", "RETRIEVAL_QUERY"),
    ("task_type", "retrieval_document", "RETRIEVAL_DOCUMENT"),
    ("task_type", 3, "SEMANTIC_SIMILARITY"),
    ("task", "retrieval.query", "RETRIEVAL_QUERY"),
    ("task", "retrieval.passage", "RETRIEVAL_DOCUMENT"),
    ("task", "text-matching", "SEMANTIC_SIMILARITY"),
    ("task", "separation", "CLUSTERING"),
    ("input_type", "search_query", "RETRIEVAL_QUERY"),
    ("input_type", "document", "RETRIEVAL_DOCUMENT"),
    ("input_type", "passage", "RETRIEVAL_DOCUMENT"),
    ("input_type", "clustering", "CLUSTERING"),
    ("prompt_name", "query", "RETRIEVAL_QUERY"),
    ("prompt_name", "Retrieval-document", "RETRIEVAL_DOCUMENT"),
    ("prompt_name", "STS", "SEMANTIC_SIMILARITY"),
]


def openai(http, **options):
    return http.post("/v1/embeddings", json={"input": TEXT, **options})


def tei(http, **options):
    return http.post("/embed", json={"inputs": TEXT, **options})


def ollama(http, **options):
    return http.post("/api/embed", json={"model": "prompting", "input": TEXT, **options})


def cohere(http, **options):
    return http.post("/v2/embed", json={"model": "prompting", "texts": [TEXT], **options})


def cohere_v1(http, **options):
    return http.post("/v1/embed", json={"texts": [TEXT], **options})


ROUTES = {
    openai: lambda answer: answer["data"][0]["embedding"],
    tei: lambda answer: answer[0],
    ollama: lambda answer: answer["embeddings"][0],
    cohere: lambda answer: answer["embeddings"]["float"][0],
    cohere_v1: lambda answer: answer["embeddings"][0],
}


@pytest.fixture(scope="module")
def prompting(tiny_model, running, tmp_path_factory):
    """A server of a model with prompts."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "prompting")
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": PROMPTS}))
    with running(open_embedder(Settings(model=(str(folder),), streams=1))) as http:
        yield http


@pytest.fixture(scope="module")
def expected(prompting):
    """The vectors of the Gemini route, by task type."""

    def vector(task_type):
        body = {"content": {"parts": [{"text": TEXT}]}, "taskType": task_type}
        return prompting.post("/v1/models/prompting:embedContent", json=body).json()["embedding"]["values"]

    vectors = {each: vector(each) for _, _, each in NAMES}
    assert len({json.dumps(each) for each in vectors.values()}) == 4, "each task has a prompt of its own"
    return vectors


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_task_chooses_its_prompt(prompting, expected, route, name):
    field, value, task_type = name
    answer = route(prompting, **{field: value})
    assert answer.status_code == 200, answer.text
    assert ROUTES[route](answer.json()) == expected[task_type]


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_name_it_is_a_document(prompting, expected, route):
    assert ROUTES[route](route(prompting).json()) == expected["RETRIEVAL_DOCUMENT"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("field", ["task_type", "task", "input_type", "prompt_name"])
def test_an_unknown_name_is_refused_by_its_field(prompting, route, field):
    refused = route(prompting, **{field: "no-such"})
    assert refused.status_code == 400
    assert field in refused.text
    assert "no-such" in refused.text


@pytest.mark.parametrize("route", ROUTES)
def test_two_names_of_different_tasks_are_refused(prompting, route):
    refused = route(prompting, input_type="query", prompt_name="document")
    assert refused.status_code == 400
    assert "input_type" in refused.text
    assert route(prompting, input_type="query", prompt_name="query").status_code == 200
