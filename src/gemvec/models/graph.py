"""The input and output of our OpenVINO graphs, `Inputs` and `Graph`; and graphs read from files.

A graph takes input_ids int32[rows, tokens], padded with any id, and token_counts int32[rows], all above 0. It returns
vectors float32[rows, native_dim], not necessarily normalised, or those of all tokens, float32[rows, tokens, size]. Some
ids may be passed as their bitwise complement, which is negative: those of the prompt if a model's pooling leaves it out
(`mark_prompt`), and those of the second text of a pair (`PairTemplate`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from gemvec.errors import UnsupportedModel
from gemvec.models.runtime import openvino, opset
from gemvec.models.tensors import TensorSource

# Names of text vectors in exported graphs.
_TEXT_VECTORS = {"sentence_embedding", "sentence_embeddings", "text_embeds", "embedding", "embeddings"}
# Names of token vectors, if there are several outputs of that shape.
_TOKEN_VECTORS = {"last_hidden_state", "token_embeddings"}
# Outputs per text that are not text vectors: BERT's pooled output, and scores of a task's head.
_OTHER_OUTPUTS = {"pooler_output", "logits", "scores"}
_TOKEN_AXES, _TEXT_AXES = 3, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph that is ready to be compiled.

    Attributes:
        model: inputs and output as this module says.
        tensors: the mapped weights that its constants refer to, which must outlive it; None if it has its own copy.
        masks_padding: whether padding is hidden from the network; if not, only texts of the same length are computed
            together, without padding.
        is_pooled: whether it returns one vector per text; if not, float32[rows, tokens, size].
    """

    model: openvino.Model
    tensors: TensorSource | None = None
    masks_padding: bool = True
    is_pooled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The first nodes of a graph.

    Attributes:
        input_ids: the graph's first parameter.
        token_counts: the graph's second parameter.
        ids: int32[rows, tokens], the tokens' ids.
        positions: int32[tokens], 0, 1, 2 and so on.
        attention_mask: float32[rows, tokens], 1 for a token, 0 for padding.
        takes_pairs: whether a row may hold two texts, the second one marked.
    """

    input_ids: openvino.Node
    token_counts: openvino.Node
    ids: openvino.Node
    positions: openvino.Node
    attention_mask: openvino.Node
    takes_pairs: bool = False

    @classmethod
    def add(cls, *, marks_prompt: bool = False, takes_pairs: bool = False) -> Self:
        """Add the parameters, and the nodes computed from them.

        Args:
            marks_prompt: whether the prompt's ids are passed as their complement.
            takes_pairs: whether those of a pair's second text are.
        """
        input_ids = opset.parameter([-1, -1], np.int32, name="input_ids")
        token_counts = opset.parameter([-1], np.int32, name="token_counts")
        width = opset.gather(opset.shape_of(input_ids, "i32"), np.int32(1), np.int64(0))
        positions = opset.range(np.int32(0), width, np.int32(1), "i32")
        is_token = opset.less(positions, opset.unsqueeze(token_counts, np.int64(1)))
        complement = opset.subtract(np.int32(-1), input_ids)
        return cls(
            input_ids=input_ids,
            token_counts=token_counts,
            ids=opset.maximum(input_ids, complement) if marks_prompt or takes_pairs else input_ids,
            positions=positions,
            attention_mask=opset.convert(is_token, "f32"),
            takes_pairs=takes_pairs,
        )

    def token_types(self) -> openvino.Node:
        """Return int32[rows, tokens]: 0 for the first text of a pair, 1 for the second."""
        return opset.convert(opset.less(self.input_ids, np.int32(0)), "i32")

    def positions_after(self, padding_id: int) -> openvino.Node:
        """Return int32[rows, tokens]: positions that start after the padding id, as in RoBERTa.

        A padding id inside a text is not counted.
        """
        is_counted = opset.convert(opset.not_equal(self.ids, np.int32(padding_id)), "f32")
        counted = opset.multiply(is_counted, self.attention_mask)
        places = opset.multiply(opset.cum_sum(counted, np.int64(1)), counted)
        return opset.convert(opset.add(places, np.float32(padding_id)), "i32")

    def mask_without_prompt(self) -> openvino.Node:
        """Return `attention_mask` with 0 for the prompt's tokens as well."""
        is_text = opset.convert(opset.greater_equal(self.input_ids, np.int32(0)), "f32")
        return opset.multiply(self.attention_mask, is_text)

    def finish(self, vectors: openvino.Node, name: str) -> openvino.Model:
        """Return the graph that ends in `vectors`."""
        return openvino.Model([vectors.output(0)], [self.input_ids, self.token_counts], name)  # pyright: ignore[reportGeneralTypeIssues] # OpenVINO's stubs name two classes Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGraph:
    """A graph of an ONNX or OpenVINO file, fed from `Inputs`.

    Attributes:
        vectors: float32[rows, native_dim] if the graph returns text vectors, else float32[rows, tokens, size].
        is_pooled: whether they are text vectors.
        masks_padding: whether the graph takes an attention mask.
    """

    vectors: openvino.Node
    is_pooled: bool
    masks_padding: bool


def read_graph(path: Path, inputs: Inputs, *, prefers_tokens: bool = False) -> ReadGraph:
    """Read an ONNX or OpenVINO graph as it is and feed it from `inputs`.

    Args:
        path: an .onnx or .xml file.
        inputs: the first nodes of the new graph.
        prefers_tokens: which vectors to take of a graph that returns those of texts and those of tokens.

    Raises:
        UnsupportedModel: the file cannot be read, or its inputs or outputs are not those of a text encoder.
    """
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise UnsupportedModel(f"{path} cannot be read as a graph: {error}") from error
    fed = _feed(model, path, inputs)
    vectors, is_pooled = _choose_output(model, path, prefers_tokens=prefers_tokens)
    return ReadGraph(vectors=vectors, is_pooled=is_pooled, masks_padding="attention_mask" in fed)


def _feed(model: openvino.Model, path: Path, inputs: Inputs) -> set[str]:
    """Replace the graph's inputs by ours, and return their names."""
    whole = opset.convert(inputs.attention_mask, "i64")
    feeds = {
        "input_ids": inputs.ids,
        "attention_mask": whole,
        "token_type_ids": opset.multiply(whole, np.int64(0)),
        "position_ids": opset.multiply(opset.convert(inputs.positions, "i64"), whole),
    }
    fed: set[str] = set()
    for parameter in model.get_parameters():
        name = next((name for name in parameter.output(0).get_names() if name in feeds), None)
        if name is None:
            raise UnsupportedModel(
                f"{path} has the input {parameter.get_friendly_name()!r}, which is not an input of a text encoder."
            )
        wanted = parameter.get_element_type()
        parameter.output(0).replace(opset.convert(feeds[name], wanted).output(0))
        fed.add(name)
    return fed


def _choose_output(model: openvino.Model, path: Path, *, prefers_tokens: bool) -> tuple[openvino.Node, bool]:
    """Return the vectors that the graph returns, and whether there is one per text."""
    outputs = [result.input_value(0) for result in model.get_results()]
    texts = _named(outputs, _TEXT_VECTORS, _TEXT_AXES)
    tokens = [each for each in outputs if len(each.get_partial_shape()) == _TOKEN_AXES]
    tokens = _named(tokens, _TOKEN_VECTORS, _TOKEN_AXES) or tokens
    if texts and not (prefers_tokens and len(tokens) == 1):
        return _as_float32(texts[0]), True
    if len(tokens) == 1:
        return _as_float32(tokens[0]), False
    if not tokens and len(outputs) == 1 and _is_text_vector(outputs[0]):
        return _as_float32(outputs[0]), True
    described = ", ".join(f"{sorted(each.get_names()) or 'unnamed'} {each.get_partial_shape()}" for each in outputs)
    raise UnsupportedModel(f"{path} returns neither text vectors nor token vectors; its outputs are {described}.")


def _named(outputs: Iterable[openvino.Output], names: set[str], axes: int) -> list[openvino.Output]:
    return [each for each in outputs if names & each.get_names() and len(each.get_partial_shape()) == axes]


def _is_text_vector(output: openvino.Output) -> bool:
    return len(output.get_partial_shape()) == _TEXT_AXES and not _OTHER_OUTPUTS & output.get_names()


def _as_float32(output: openvino.Output) -> openvino.Node:
    """Return an output of any node and precision as a float32 node."""
    return opset.convert(output, "f32")
