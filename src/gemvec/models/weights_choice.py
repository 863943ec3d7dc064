"""Chooses a model's file and engine, and refuses models of other kinds by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gemvec.errors import UnsupportedModel
from gemvec.models.modules import RESAVE
from gemvec.models.networks import FAMILIES, check_config
from gemvec.models.record import EngineName, Task
from gemvec.models.score_head import SCORING_FAMILIES

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
_INDEX = ".safetensors.index.json"
_GRAPHS: tuple[tuple[str, EngineName], ...] = (
    ("openvino_model.xml", "openvino"),
    ("openvino/openvino_model.xml", "openvino"),
    ("model.onnx", "onnx"),
    ("onnx/model.onnx", "onnx"),
)
# Architectures that do not return text vectors, by the end of their names.
_TASKS = {
    "ForSequenceClassification": "a cross-encoder or classifier: it gives several scores, or is of a family that gemvec"
    f" does not score with (it does with {', '.join(SCORING_FAMILIES)})",
    "ForTokenClassification": "a token classifier: it labels words and gives no vectors",
    "ForQuestionAnswering": "a question answering model: it marks answers and gives no vectors",
    "ForCausalLM": "a language model: it writes texts, and nothing says how to make vectors of it",
    "ForConditionalGeneration": "a language model: it writes texts, and nothing says how to make vectors of it",
    "ForMaskedLM": "a language model that fills gaps, and nothing says how to make vectors of it",
}
# Kinds in config_sentence_transformers.json of models without vectors, or with one for each token or word.
_OTHER_MODELS = {
    "CrossEncoder": "a cross-encoder (reranker) of a kind that gemvec does not run: it runs networks with the head"
    f" ForSequenceClassification and one score, of {', '.join(SCORING_FAMILIES)}",
    "MultiVectorEncoder": "a multi-vector model: it gives a vector for each token, not for each text",
    "SparseEncoder": "a sparse model: it gives weights of words, not vectors",
}
_EMBEDDERS = "Name a model that sentence-transformers lists for embedding texts, such as all-minilm-l6-v2."


def find_task(
    where: str, config: Mapping[str, Any], model_config: Mapping[str, Any], *, has_pooling: bool, is_adapter: bool
) -> Task:
    """Return what a model is for; refuse one that neither embeds nor reranks, or needs more than its files here.

    Args:
        where: what to call the model in the error.
        config: its config.json.
        model_config: its config_sentence_transformers.json.
        has_pooling: whether modules.json says how to make vectors.
        is_adapter: whether it has an adapter_config.json.

    Raises:
        UnsupportedModel: it is not supported; the message says what it is.
    """
    if is_adapter:
        raise UnsupportedModel(
            f"{where} is an adapter (PEFT), a change to another model's weights. Merge the two once with peft:"
            f" python -c \"from peft import AutoPeftModelForFeatureExtraction as P; P.from_pretrained('{where}')"
            ".merge_and_unload().save_pretrained('merged')\", copy the tokenizer's files there, and serve ./merged."
        )
    names: Sequence[Any] = config.get("architectures") or ()
    architecture = str(names[0]) if names else ""
    if not has_pooling and _scores_pairs(architecture, config):
        return "rerank"
    kind = str(model_config.get("model_type", ""))
    if kind in _OTHER_MODELS:
        raise UnsupportedModel(f"{where} is {_OTHER_MODELS[kind]}. {_EMBEDDERS}")
    task = next((text for ending, text in _TASKS.items() if architecture.endswith(ending)), None)
    if task and not has_pooling:
        raise UnsupportedModel(f"{where} holds {architecture}, {task}. {_EMBEDDERS}")
    return "embed"


def _scores_pairs(architecture: str, config: Mapping[str, Any]) -> bool:
    """Whether a network has a head that gives one score, of a family whose heads are known."""
    labels: Any = config.get("id2label") or ()
    is_known = config.get("model_type") in SCORING_FAMILIES
    return architecture.endswith("ForSequenceClassification") and is_known and len(labels) == 1


def choose_weights(paths: Collection[str], config: Mapping[str, Any], *, where: str) -> tuple[str, EngineName]:
    """Return the best file to load among `paths`, and the engine that loads it.

    Safetensors of a network that can be built come first; if it cannot, a graph beside them is used.

    Args:
        paths: the existing files below the folder of config.json.
        config: the config.json.
        where: what to call the place in the error.

    Raises:
        UnsupportedModel: none can be loaded; the message says what there is, and what to do.
    """
    safetensors = next((path for path in SAFETENSORS if path in paths), None)
    graph = next((each for each in _GRAPHS if each[0] in paths), None)
    refusal = _refusal(config, where) if safetensors else None
    if safetensors and refusal is None and graph:  # the check imports OpenVINO, so it is made only if there is a choice
        refusal = _variant_refusal(config)
    if safetensors and refusal is None:
        return safetensors, "network"
    if graph:
        return graph
    raise refusal or UnsupportedModel(_nothing(paths, where))


def is_part_of_weights(path: str, weights_path: str) -> bool:
    """Return whether `path` is the weights file or a file that it reads.

    Examples are ONNX's external data, OpenVINO's .bin and the files of an index.
    """
    if path == weights_path:
        return True
    if weights_path.endswith(".xml"):
        return path == weights_path.removesuffix("xml") + "bin"
    if weights_path.endswith(_INDEX):
        return path.startswith(f"{weights_path.removesuffix(_INDEX)}-") and path.endswith(".safetensors")
    return path.startswith((f"{weights_path}_data", f"{weights_path}.data"))


def _refusal(config: Mapping[str, Any], where: str) -> UnsupportedModel | None:
    """Return why the graph of safetensors cannot be built, if that is because of the kind of network."""
    model_type = str(config.get("model_type", ""))
    if model_type not in FAMILIES:
        return UnsupportedModel(
            f"{where} holds a model of type {model_type or 'unknown'!r}. From safetensors gemvec runs"
            f" {', '.join(sorted(FAMILIES))}; for others it needs an ONNX or OpenVINO graph"
            f" (onnx/model.onnx or openvino/openvino_model.xml), which optimum-cli export writes."
        )
    code: Any = config.get("auto_map") or {}
    if "AutoModel" in code:
        return UnsupportedModel(
            f"{where} needs its own code to be run ({code['AutoModel']}), which gemvec's own engines never do."
            " A version of the model for transformers itself, or its ONNX graph, can be served."
        )
    return None


def _variant_refusal(config: Mapping[str, Any]) -> UnsupportedModel | None:
    try:
        check_config(config)
    except UnsupportedModel as error:
        return error
    return None


def _nothing(paths: Collection[str], where: str) -> str:
    """Return which unsupported weights there are, and what to do about it."""
    wanted = f"{where} has none of {', '.join([*SAFETENSORS, *(path for path, _ in _GRAPHS)])}"
    pickles = [path for path in paths if path.endswith((".bin", ".pt", ".ckpt")) and not path.startswith("openvino")]
    if any("pytorch_model" in path for path in pickles):
        return f"{wanted}, only {pickles[0]}, a pickle, which can run any code when it is read. {RESAVE}"
    gguf = [path for path in paths if path.endswith(".gguf")]
    if gguf:
        return f"{wanted}, only {gguf[0]}, llama.cpp's format. Name the model's original repository or folder instead."
    onnx = [path for path in paths if path.endswith(".onnx")]
    if onnx:
        return (
            f"{wanted}, only {onnx[0]}, whose name says that it is quantised or cut: such graphs give other vectors."
            f" To use it anyway: cp {where}/{onnx[0]} {where}/model.onnx"
        )
    return f"{wanted}."
