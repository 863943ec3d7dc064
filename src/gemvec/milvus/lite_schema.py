"""A collection as Milvus Lite's engine declares it, which pymilvus would translate: `to_lite_schema`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from milvus_lite.schema.types import CollectionSchema, DataType, FieldSchema, Function, FunctionType

from gemvec.milvus.field import Field


def to_lite_schema(fields: Iterable[Field]) -> CollectionSchema:
    """Return the schema of a collection with these fields."""
    declared: list[FieldSchema] = []
    functions: list[Function] = []
    for field in fields:
        options: dict[str, Any] = dict(field.options)
        if field.words_of:
            functions.append(Function("bm25", FunctionType.BM25, [field.words_of], [field.name]))
        declared.append(
            FieldSchema(field.name, DataType[field.kind], is_function_output=bool(field.words_of), **options)
        )
    return CollectionSchema(declared, functions=functions)
