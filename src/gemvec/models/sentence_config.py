"""What sentence_bert_config.json says about the texts that a network takes: `SentenceConfig`.

sentence-transformers passes most of its fields on to transformers, where they may change anything. So a field that is
not known to leave the vectors as they are is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gemvec.errors import UnsupportedModel
from gemvec.models.modules import read_document
from gemvec.models.record import Task

# The first of these that has any field counts.
SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Arguments for transformers that change how a network computes or is loaded, but not its vectors.
_HARMLESS_ARGUMENTS = {
    "add_pooling_layer",
    "attn_implementation",
    "cache_dir",
    "device_map",
    "dtype",
    "fix_mistral_regex",
    "local_files_only",
    "low_cpu_mem_usage",
    "revision",
    "token",
    "torch_dtype",
    "trust_remote_code",
    "use_fast",
    "use_memory_efficient_attention",
    "use_safetensors",
    "unpad_inputs",
}
_ARGUMENTS = ("model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs")
# Arguments of the tokenizer that are read here; of both names, the later one of `_ARGUMENTS` counts.
_TOKENIZER_ARGUMENTS = ("tokenizer_args", "processor_kwargs")
_WINDOW_ARGUMENT = "model_max_length"
# What these fields say for each kind of model.
_EXPECTED: Mapping[Task, Mapping[str, str]] = {
    "embed": {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"},
    "rerank": {"transformer_task": "sequence-classification", "module_output_name": "scores"},
}
_TEXT_OUTPUTS: Mapping[Task, Mapping[str, str]] = {
    "embed": {"method": "forward", "method_output_name": "last_hidden_state"},
    "rerank": {"method": "forward", "method_output_name": "logits"},
}
# What is done to a text before sentence-transformers gets its tokens; what is not known here is refused.
_BEFORE_THE_TOKENS = ("max_seq_length", "do_lower_case", "query_length", "document_length", "query_expansion")
_KNOWN = {"max_seq_length", "do_lower_case", "modality_config", "unpad_inputs", *_EXPECTED["embed"], *_ARGUMENTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceConfig:
    """The fields that matter here.

    Attributes:
        lower_cases: whether texts are lower-cased before anything else.
        max_seq_length: longest input in tokens, special ones included; None if the file sets none.
    """

    lower_cases: bool = False
    max_seq_length: int | None = None

    @classmethod
    def read(cls, folder: Path, task: Task) -> Self:
        """Read the file in a network's folder.

        Args:
            folder: the network's folder.
            task: what the model is for.

        Raises:
            UnsupportedModel: it cannot be read, or a field asks for something that gemvec does not do.
        """
        for name in SENTENCE_CONFIGS:
            if document := read_document(folder, name):
                return cls._of(document, task, folder / name)
        return cls()

    @classmethod
    def read_for_torch(cls, folder: Path) -> Self:
        """Read only the fields that matter before a text is tokenized; sentence-transformers does what the others say.

        Raises:
            UnsupportedModel: the file cannot be read.
        """
        for name in SENTENCE_CONFIGS:
            if document := read_document(folder, name):
                known = {key: document[key] for key in _BEFORE_THE_TOKENS if key in document}
                return cls._of(known, "embed", folder / name)
        return cls()

    @classmethod
    def _of(cls, document: Mapping[str, Any], task: Task, file: Path) -> Self:
        set_fields = {name: value for name, value in document.items() if value not in (None, {}, [])}
        for name in set_fields.keys() - _KNOWN:
            raise UnsupportedModel(f"{file} has {name} {document[name]!r}, which gemvec does not know.")
        for name, expected in _EXPECTED[task].items():
            if set_fields.get(name, expected) != expected:
                raise UnsupportedModel(f"{file} has {name} {document[name]!r}, expected {expected!r}.")
        if modalities := set_fields.get("modality_config"):
            _check_modalities(modalities, task, file)
        window = document.get("max_seq_length")
        for name in _ARGUMENTS:
            window = _read_arguments(name, document.get(name) or {}, file).get(_WINDOW_ARGUMENT, window)
        if window is not None and (not isinstance(window, int | float) or window < 1):
            raise UnsupportedModel(f"{file} has max_seq_length {window!r}, expected a number of tokens.")
        return cls(
            lower_cases=document.get("do_lower_case") is True, max_seq_length=None if window is None else int(window)
        )


def _check_modalities(modalities: Mapping[str, Any], task: Task, file: Path) -> None:
    """Refuse a network that gives something else for texts than its last layer or its scores."""
    text: Mapping[str, Any] = modalities.get("text") or {}
    if any(text.get(key) != value for key, value in _TEXT_OUTPUTS[task].items()):
        raise UnsupportedModel(
            f"{file} has the modality_config {dict(text)!r} for texts, expected {dict(_TEXT_OUTPUTS[task])!r}."
        )


def _read_arguments(name: str, arguments: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """Return arguments for transformers; refuse those that may change vectors and are not done here."""
    done = {_WINDOW_ARGUMENT} if name in _TOKENIZER_ARGUMENTS else set[str]()
    for argument in arguments.keys() - _HARMLESS_ARGUMENTS - done:
        raise UnsupportedModel(
            f"{file} has {argument} {arguments[argument]!r} in {name}, which may change vectors and which gemvec does"
            " not do."
        )
    return arguments
