"""The whole graph of a model, from token ids to text vectors: its network and the modules after it.

A model's graph of token vectors is the same without the modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemvec.embedding.without_tokens import refuse_token_vectors
from gemvec.errors import UnsupportedModel
from gemvec.models.graph import Graph, Inputs, read_graph
from gemvec.models.module_graph import add_modules
from gemvec.models.modules import Truncate, read_document
from gemvec.models.networks import build_network
from gemvec.models.packed import PackedTensors
from gemvec.models.record import ModelRecord
from gemvec.models.tensors import Tensors, TensorSource


def build_text_graph(record: ModelRecord, folder: Path) -> Graph:
    """Build the graph of a network from its safetensors.

    Args:
        record: the model.
        folder: the folder with its files.

    Raises:
        UnsupportedModel: the files do not describe a network that can be built.
    """
    document, tensors = _read_network(record, folder)
    inputs = Inputs.add(marks_prompt=record.leaves_out_prompt, takes_pairs=record.task == "rerank")
    vectors = add_modules(build_network(document, inputs, tensors), inputs, record.modules, folder)
    return Graph(model=inputs.finish(vectors, record.id), tensors=tensors)


def build_token_graph(record: ModelRecord, folder: Path) -> Graph:
    """Build the graph of a network from its safetensors, up to the vectors of all tokens; see `build_text_graph`."""
    document, tensors = _read_network(record, folder)
    inputs = Inputs.add()
    vectors = build_network(document, inputs, tensors)
    return Graph(model=inputs.finish(vectors, record.id), tensors=tensors, is_pooled=False)


def _read_network(record: ModelRecord, folder: Path) -> tuple[Mapping[str, Any], TensorSource]:
    """Return the network's config.json and its weights."""
    path = folder / record.weights_path
    if path.suffix == ".bin":  # only records of the catalogue name one
        packed = PackedTensors(path)
        return packed.config, packed
    document = read_document(folder / record.network_path, "config.json")
    if document is None:
        raise UnsupportedModel(f"{folder / record.network_path / 'config.json'} is missing.")
    return document, Tensors(path)


def read_text_graph(record: ModelRecord, folder: Path) -> Graph:
    """Read the graph of an ONNX or OpenVINO file; if it returns token vectors, add the modules.

    Args:
        record: the model.
        folder: the folder with its files.

    Raises:
        UnsupportedModel: the file cannot be read, or it is not known how to pool its token vectors.
    """
    path = folder / record.weights_path
    inputs = Inputs.add(marks_prompt=record.leaves_out_prompt)
    read = read_graph(path, inputs)
    if not read.is_pooled and record.pooling == "inside":
        raise UnsupportedModel(f"{path} returns token vectors, and nothing says how to pool them.")
    # A graph that returns text vectors contains the modules; only the cut is left.
    modules = tuple(each for each in record.modules if isinstance(each, Truncate)) if read.is_pooled else record.modules
    vectors = add_modules(read.vectors, inputs, modules, folder)
    return Graph(model=inputs.finish(vectors, record.id), masks_padding=read.masks_padding)


def read_token_graph(record: ModelRecord, folder: Path) -> Graph:
    """Read the graph of an ONNX or OpenVINO file, up to the vectors of all tokens; see `read_text_graph`.

    Raises:
        InvalidRequest: the file has vectors of texts only.
    """
    inputs = Inputs.add()
    read = read_graph(folder / record.weights_path, inputs, prefers_tokens=True)
    if read.is_pooled:
        refuse_token_vectors("Its graph returns one vector for a text.")
    model = inputs.finish(read.vectors, record.id)
    return Graph(model=model, masks_padding=read.masks_padding, is_pooled=False)
