"""What `gemvec serve` says of the models when it starts."""

import io

import pytest
from rich.console import Console

from gemvec.cli.serve import announce, describe_prompts
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.models.prompts import ARCTIC_2, E5, EMBEDDINGGEMMA, NO_PROMPTS

E5_LINE = "prompts: 'passage: ' for RETRIEVAL_DOCUMENT; 'query: ' for other task types; without a task type: 'query: '"
ARCTIC_LINE = (
    "prompts: 'query: ' for RETRIEVAL_QUERY, QUESTION_ANSWERING, FACT_VERIFICATION, CODE_RETRIEVAL_QUERY; "
    "none for other task types; without a task type: none"
)
GEMMA_LINE = (
    "a prompt for each task type, such as 'task: search result | query: ' for RETRIEVAL_QUERY; gemvec models show m"
    " lists them"
)


def served(prompts, **facts):
    described = {"name": "m", "model_id": "m", "revision": "0" * 8, "display_name": "m", "description": "m"}
    numbers = {"input_token_limit": 8, "native_dim": 4, "default_dimensionality": 4}
    return ServedModel(**described, **numbers, prompts={task: prompts.of(task) for task in TaskType}, **facts)


@pytest.mark.parametrize(
    ("prompts", "line"),
    [
        (NO_PROMPTS, "no prompts: task types change nothing"),
        (E5, E5_LINE),
        (ARCTIC_2, ARCTIC_LINE),
        (EMBEDDINGGEMMA, GEMMA_LINE),
    ],
)
def test_the_prompts_of_a_model_are_said_in_one_line(prompts, line):
    assert describe_prompts(served(prompts)) == line


def test_the_languages_and_prompts_of_each_model_are_said_at_the_start():
    console = Console(file=io.StringIO(), width=200)
    announce(console, "http://127.0.0.1:1", [served(E5, languages="about 100 languages")], has_keys=False)
    first, model, prompts, *_ = console.file.getvalue().splitlines()
    assert first.endswith("serves at http://127.0.0.1:1")
    assert model == "  m@00000000, 4 dimensions, for about 100 languages"
    assert prompts.startswith("    prompts: 'passage: ' for RETRIEVAL_DOCUMENT")
