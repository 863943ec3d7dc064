"""What every OpenVINO graph of ours takes and gives, and how one read from a file is fitted to it.

A graph takes input_ids int32[rows, tokens], padded with any id, and token_counts int32[rows], none of them 0; it gives
vectors float32[rows, native_dim], not necessarily normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from gemvec.errors import UnsupportedModel
from gemvec.models.pooling import add_pooling
from gemvec.models.record import Pooling
from gemvec.models.runtime import openvino, opset

# How exported graphs name a text's vector. BERT's `pooler_output` is not among them: it is no sentence vector.
_TEXT_VECTORS = {"sentence_embedding", "sentence_embeddings", "text_embeds", "embedding", "embeddings"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The first nodes of a graph.

    Attributes:
        input_ids: the graph's first parameter.
        token_counts: the graph's second parameter.
        positions: int32[tokens], 0, 1, 2 and so on.
        attention_mask: float32[rows, tokens], 1 for a token, 0 for padding.
    """

    input_ids: openvino.Node
    token_counts: openvino.Node
    positions: openvino.Output
    attention_mask: openvino.Output

    @classmethod
    def add(cls) -> Self:
        """Add the parameters, and what is worked out from them."""
        input_ids = opset.parameter([-1, -1], np.int32, name="input_ids")
        token_counts = opset.parameter([-1], np.int32, name="token_counts")
        width = opset.gather(opset.shape_of(input_ids, "i32"), np.int32(1), np.int64(0))
        positions = opset.range(np.int32(0), width, np.int32(1), "i32")
        is_token = opset.less(positions, opset.unsqueeze(token_counts, np.int64(1)))
        return cls(
            input_ids=input_ids,
            token_counts=token_counts,
            positions=positions.output(0),
            attention_mask=opset.convert(is_token, "f32").output(0),
        )

    def finish(self, vectors: openvino.Output, name: str) -> openvino.Model:
        """Return the graph that ends in `vectors`."""
        return openvino.Model([vectors], [self.input_ids, self.token_counts], name)  # pyright: ignore[reportGeneralTypeIssues] # OpenVINO's stubs name two classes Model


def read_graph(path: Path, pooling: Pooling) -> openvino.Model:
    """Read an ONNX or OpenVINO graph as it is, feed it from `Inputs`, and add pooling where it gives token vectors.

    Args:
        path: an .onnx or .xml file.
        pooling: how token vectors become one, where the graph does not do it.

    Raises:
        UnsupportedModel: the file cannot be read, or its inputs or outputs are not those of a text encoder.
    """
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise UnsupportedModel(f"{path} cannot be read as a graph: {error}") from error
    inputs = Inputs.add()
    ids = inputs.input_ids.output(0)
    mask = inputs.attention_mask
    whole = opset.convert(mask, "i64").output(0)
    feeds = {
        "input_ids": ids,
        "attention_mask": whole,
        "token_type_ids": opset.multiply(whole, np.int64(0)).output(0),
        "position_ids": opset.multiply(opset.convert(inputs.positions, "i64"), whole).output(0),
    }
    for parameter in model.get_parameters():
        name = next((name for name in parameter.output(0).get_names() if name in feeds), None)
        if name is None:
            raise UnsupportedModel(
                f"{path} has the input {parameter.get_friendly_name()!r}, which no text encoder has."
            )
        wanted = parameter.get_element_type()
        parameter.output(0).replace(opset.convert(feeds[name], wanted).output(0))
    return inputs.finish(_text_vectors(model, path, pooling, mask), path.stem)


def _text_vectors(model: openvino.Model, path: Path, pooling: Pooling, mask: openvino.Output) -> openvino.Output:
    outputs = [_float32(result.input_value(0)) for result in model.get_results()]
    ranks = [len(output.get_partial_shape()) for output in outputs]
    named = [output for output in outputs if _TEXT_VECTORS & output.get_names()]
    if named:
        return named[0]
    if pooling != "inside" and 3 in ranks:  # noqa: PLR2004 - rows, tokens, values
        return add_pooling(outputs[ranks.index(3)], mask, pooling)
    if ranks == [2]:
        return outputs[0]
    raise UnsupportedModel(f"{path} gives neither text vectors nor token vectors; its outputs have {ranks} axes.")


def _float32(output: openvino.Output) -> openvino.Output:
    """Return an output of half precision as float32, under its own names."""
    if output.get_element_type() == openvino.Type.f32:
        return output
    converted = opset.convert(output, "f32").output(0)
    converted.set_names(output.get_names())
    return converted
