import numpy as np
import pytest
from google.genai import types

from gemvec.client import EmbedConfig
from gemvec.client.config import parse_task_type, read_config
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality, InvalidRequest, TitleNotAllowed, UnsupportedTaskType


@pytest.mark.parametrize(
    "config",
    [
        EmbedConfig(task_type=TaskType.RETRIEVAL_DOCUMENT, title="T", output_dimensionality=768, auto_truncate=False),
        {"task_type": "RETRIEVAL_DOCUMENT", "title": "T", "output_dimensionality": 768, "auto_truncate": False},
        {"taskType": "retrieval_document", "title": "T", "outputDimensionality": 768, "autoTruncate": False},
        types.EmbedContentConfig(
            task_type="RETRIEVAL_DOCUMENT", title="T", output_dimensionality=768, auto_truncate=False
        ),
    ],
)
def test_all_kinds_of_config_say_the_same(config):
    options = read_config(config)
    assert options.task_type is TaskType.RETRIEVAL_DOCUMENT
    assert (options.title, options.output_dimensionality, options.auto_truncate) == ("T", 768, False)


@pytest.mark.parametrize("config", [None, {}, EmbedConfig(), types.EmbedContentConfig(), {"title": None}])
def test_an_empty_config_leaves_all_open(config):
    options = read_config(config)
    assert (options.task_type, options.title, options.output_dimensionality) == (None, None, None)
    assert options.auto_truncate


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CLUSTERING", TaskType.CLUSTERING),
        ("clustering", TaskType.CLUSTERING),
        (5, TaskType.CLUSTERING),
        (TaskType.CLUSTERING, TaskType.CLUSTERING),
        ("TASK_TYPE_UNSPECIFIED", None),
        (0, None),
        (None, None),
        (True, TaskType.RETRIEVAL_QUERY),  # Python's True is 1
    ],
)
def test_task_types_are_named_in_any_case_or_numbered(given, expected):
    assert parse_task_type(given) is expected


@pytest.mark.parametrize("given", ["CLUSTER", 99, "", 1.5])
def test_an_unknown_task_type_is_refused_with_those_that_exist(given):
    with pytest.raises(UnsupportedTaskType, match="RETRIEVAL_DOCUMENT"):
        parse_task_type(given)


@pytest.mark.parametrize("value", [0, -1, 1.5, "768", True])
def test_an_impossible_dimensionality_is_refused_with_its_value(value):
    with pytest.raises(BadDimensionality, match="output_dimensionality has value"):
        read_config({"output_dimensionality": value})


def test_a_whole_number_of_numpy_is_a_dimensionality():
    dimensionality = read_config({"output_dimensionality": np.int64(768)}).output_dimensionality
    assert (dimensionality, type(dimensionality)) == (768, int)


@pytest.mark.parametrize("value", ["false", 0, "no"])
def test_auto_truncate_is_true_or_false_and_nothing_that_may_mean_either(value):
    with pytest.raises(InvalidRequest, match="auto_truncate has value"):
        read_config({"auto_truncate": value})


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(InvalidRequest, match="'dimensions'") as caught:
        read_config({"dimensions": 768})
    assert caught.value.field == "dimensions"


@pytest.mark.parametrize("config", [{"mimeType": "text/plain"}, types.EmbedContentConfig(document_ocr=True)])
def test_options_of_vertex_ai_are_refused(config):
    with pytest.raises(InvalidRequest, match="Vertex AI"):
        read_config(config)


def test_a_title_goes_only_with_documents():
    with pytest.raises(TitleNotAllowed, match="CLUSTERING"):
        read_config({"title": "T", "task_type": "CLUSTERING"})
    assert read_config({"title": "T"}).title == "T"


@pytest.mark.parametrize("config", ["RETRIEVAL_QUERY", 768, object()])
def test_other_things_are_no_config(config):
    with pytest.raises(InvalidRequest, match="expected an EmbedConfig"):
        read_config(config)


def test_a_title_that_is_no_string_is_refused():
    with pytest.raises(InvalidRequest, match="title"):
        read_config({"title": 5})


def test_an_unknown_option_is_named_as_the_caller_wrote_it():
    with pytest.raises(InvalidRequest, match="no option 'outputDimension'") as caught:
        read_config({"outputDimension": 5})
    assert caught.value.field == "outputDimension"
