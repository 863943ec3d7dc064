"""Networks whose graph is built from safetensors: the registry of families, and `build_network`.

To add a family, write a module with `read_config` and `build`, and add its `model_type`s to `FAMILIES`. A
family's module, which needs OpenVINO, is imported only when such a network is built or checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from gemvec.models.networks.config import check_usual

if TYPE_CHECKING:
    from gemvec.models.graph import Inputs
    from gemvec.models.runtime import openvino
    from gemvec.models.tensors import TensorSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Networks that are built by the same module.

    Attributes:
        module: the module in this package.
        size_key: the field of config.json with the length of the network's token vectors.
        has_learned_positions: whether each position has its own vector, which limits the length of a text.
        positions_follow_padding: whether positions start after the padding id, as in RoBERTa.
        fixed_padding_id: that id if config.json cannot change it.
    """

    module: str
    size_key: str = "hidden_size"
    has_learned_positions: bool = False
    positions_follow_padding: bool = False
    fixed_padding_id: int | None = None

    def window_tokens(self, config: Mapping[str, Any]) -> int | None:
        """Return the most tokens that the network's position vectors allow, None if they set no limit.

        Args:
            config: the model's config.json.
        """
        positions = config.get("max_position_embeddings")
        if not self.has_learned_positions or not isinstance(positions, int):
            return None
        if not self.positions_follow_padding:
            return positions
        padding_id = config.get("pad_token_id") if self.fixed_padding_id is None else self.fixed_padding_id
        return positions - (padding_id if isinstance(padding_id, int) else 1) - 1


_BERT = Family(module="bert", has_learned_positions=True)
_ROBERTA = Family(module="bert", has_learned_positions=True, positions_follow_padding=True)
_DECODER = Family(module="decoder")

# By the `model_type` in config.json.
FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": Family(module="distilbert", size_key="dim", has_learned_positions=True),
    "electra": _BERT,
    "embedding_gemma2": Family(module="embedding_gemma2", size_key="embedding_dim"),
    "embedding_gemma2_text": Family(module="embedding_gemma2", size_key="embedding_dim"),
    "ernie": _BERT,
    "gemma3_text": Family(module="gemma3"),
    "gte": Family(module="rotary_bert"),
    "jina_embeddings_v3": Family(module="rotary_bert"),
    "llama": _DECODER,
    "mistral": _DECODER,
    "modernbert": Family(module="modernbert"),
    "mpnet": Family(module="mpnet", has_learned_positions=True, positions_follow_padding=True, fixed_padding_id=1),
    "nomic_bert": Family(module="rotary_bert"),
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "roberta": _ROBERTA,
    "t5": Family(module="t5", size_key="d_model"),
    "xlm-roberta": _ROBERTA,
}


class _Module(Protocol):
    def read_config(self, document: Mapping[str, Any]) -> Any: ...

    def build(self, config: Any, inputs: Inputs, tensors: TensorSource) -> openvino.Node: ...


def check_config(document: Mapping[str, Any]) -> None:
    """Check that a family's module can build a variant of its network.

    Args:
        document: the model's config.json; its `model_type` is in `FAMILIES`.

    Raises:
        UnsupportedModel: it cannot; the message names the field.
    """
    _read(document)


def build_network(document: Mapping[str, Any], inputs: Inputs, tensors: TensorSource) -> openvino.Node:
    """Add the nodes of a network.

    Args:
        document: the model's config.json; its `model_type` is in `FAMILIES`.
        inputs: the first nodes of the graph.
        tensors: the weights, which must outlive the graph.

    Returns:
        float32[rows, tokens, size], the network's last layer.

    Raises:
        UnsupportedModel: the network's variant cannot be built, or the weights lack one of its tensors.
    """
    config, module = _read(document)
    return module.build(config, inputs, tensors)


def _read(document: Mapping[str, Any]) -> tuple[Any, _Module]:
    """Return what a network's graph depends on, and the module that builds it."""
    check_usual(document)
    family = FAMILIES[str(document["model_type"])]
    module = cast("_Module", import_module(f"{__name__}.{family.module}"))
    return module.read_config(document), module
