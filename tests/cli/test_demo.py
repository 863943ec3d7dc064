"""What `gemvec demo` shows in other languages is found by meaning."""

import asyncio
import sys
from typing import get_args

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gemvec.cli.demo import demo
from gemvec.cli.demo_library import Language, open_library
from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.models.local import open_embedder
from gemvec.settings import Settings


@pytest.fixture(scope="module")
def embed():
    """Return a function that embeds texts with the model for many languages."""
    embedder = open_embedder(Settings.load({}, model=("multilingual-e5-small-q4",), streams=1))
    served = embedder.list_models()[0]

    def embed(texts, task_type):
        requests = [EmbedRequest(text=text, task_type=task_type) for text in texts]
        return np.stack([each.vector for each in asyncio.run(embedder.embed(served, requests))])

    yield embed
    asyncio.run(embedder.close())


@pytest.mark.weights
@pytest.mark.parametrize("language", get_args(Language))
def test_each_question_is_nearest_to_the_document_that_answers_it(embed, language, tmp_path):
    library = open_library(language, tmp_path / "documents")
    texts = {path.name: path.read_text(encoding="utf-8") for path in library.folder.iterdir()}
    documents = embed(texts.values(), TaskType.RETRIEVAL_DOCUMENT)
    questions = embed(library.questions, TaskType.RETRIEVAL_QUERY)
    nearest = [list(texts)[place] for place in (questions @ documents.T).argmax(1)]
    assert nearest == list(library.questions.values())


@pytest.mark.parametrize(
    ("given", "environ", "used"),
    [
        ([], {}, "multilingual-e5-small-q4"),
        (["--model", "all-minilm-l6-v2"], {}, "all-minilm-l6-v2"),
        ([], {"GEMVEC_MODEL": "all-minilm-l6-v2"}, "all-minilm-l6-v2"),
        ([], {"GEMVEC_MODEL": ""}, "multilingual-e5-small-q4"),
    ],
)
def test_a_language_changes_the_model_only_where_none_is_named(monkeypatch, given, environ, used):
    models = []
    monkeypatch.setattr(sys.modules["gemvec.cli.demo"], "run_demo", lambda own, *_: models.append(own.model))
    app = typer.Typer()
    app.command()(demo)
    outcome = CliRunner().invoke(app, ["--language", "es", "--json", *given], env=environ)
    assert (outcome.exit_code, models) == (0, [(used,)])
