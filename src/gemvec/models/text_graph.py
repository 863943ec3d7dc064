"""The whole graph of a model, from token ids to text vectors: its network and the modules after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        folder: where its files are.

    Raises:
        UnsupportedModel: the files do not describe a network that can be built.
    """
    document, tensors = _read_network(record, folder)
    inputs = Inputs.add(marks_prompt=record.leaves_out_prompt)
    vectors = add_modules(build_network(document, inputs, tensors), inputs, record.modules, folder)
    return Graph(model=inputs.finish(vectors, record.id), tensors=tensors)


def _read_network(record: ModelRecord, folder: Path) -> tuple[Mapping[str, Any], TensorSource]:
    """Return the network's config.json and its weights."""
    path = folder / record.weights_path
    if path.suffix == ".bin":  # only a record of the catalogue names one
        packed = PackedTensors(path)
        return packed.config, packed
    document = read_document(folder / record.network_path, "config.json")
    if document is None:
        raise UnsupportedModel(f"{folder / record.network_path / 'config.json'} is missing.")
    return document, Tensors(path)


def read_text_graph(record: ModelRecord, folder: Path) -> Graph:
    """Read the graph of an ONNX or OpenVINO file; where it gives token vectors, the modules follow.

    Args:
        record: the model.
        folder: where its files are.

    Raises:
        UnsupportedModel: the file cannot be read, or nothing says how its token vectors are pooled.
    """
    path = folder / record.weights_path
    inputs = Inputs.add(marks_prompt=record.leaves_out_prompt)
    read = read_graph(path, inputs)
    if not read.is_pooled and record.pooling == "inside":
        raise UnsupportedModel(f"{path} gives token vectors, and nothing says how they are pooled.")
    # A graph that gives text vectors has run the modules itself; only the cut is left.
    modules = tuple(each for each in record.modules if isinstance(each, Truncate)) if read.is_pooled else record.modules
    vectors = add_modules(read.vectors, inputs, modules, folder)
    return Graph(model=inputs.finish(vectors, record.id), masks_padding=read.masks_padding)
