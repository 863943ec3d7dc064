"""The metadata at the top of a Markdown file: `split_front_matter`. Only what is not understood is left out."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from gemvec.documents.document import MAX_METADATA_BYTES, Note, has_more_values, to_json

_YAML = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"""^(?P<key>[^\s:#\-\[\]{}"'][^:\n]*?|"[^"\n]*"|'[^'\n]*')[ \t]*:(?:[ \t]+(?P<value>.*))?$""")
_MAX_KEY_CHARACTERS = 60
_SHOWN_KEYS = 3
# As YAML 1.2 reads them, and most programs that read front matter: `no` is a word, `12:30` a time and `007` a name.
_YAML_TYPES = (
    ("bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", re.compile("^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    ("float", re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), "-+.0123456789"),
)
_OTHER_TYPES = {f"tag:yaml.org,2002:{name}" for name in ("timestamp", "bool", "int", "float")}
_NULL = "tag:yaml.org,2002:null"


def split_front_matter(text: str) -> tuple[str, dict[str, Any], list[Note]]:
    """Return the text with blank lines in place of its front matter, the metadata, and what was not understood."""
    if text.startswith("{"):
        return _split_json(text)
    parse = _parse_toml if text.startswith("+") else _parse_yaml
    found = (_TOML if parse is _parse_toml else _YAML).match(text)
    if found is None or (parse is _parse_yaml and not _looks_like_keys(found[1])):
        return text, {}, []  # also for text between two rules at the top
    values, notes = _bound(*parse(found[1]))
    # Blank lines in its place keep the numbers of the following lines.
    return "\n" * found[0].count("\n") + text[found.end() :], values, notes


def _split_json(text: str) -> tuple[str, dict[str, Any], list[Note]]:
    """Split off a JSON object over several lines before the text, as Hugo writes it."""
    try:
        loaded, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text, {}, []
    rest = text[end:]
    if "\n" not in text[:end] or rest.partition("\n")[0].strip() or not loaded:
        return text, {}, []
    values, notes = _bound(loaded, [])
    return "\n" * text.count("\n", 0, end) + rest, values, notes


def _looks_like_keys(block: str) -> bool:
    lines = [line for line in block.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    top = [line for line in lines if line[0] not in " \t-]}"]
    keys = [line for line in top if (found := _KEY.match(line)) and len(found["key"]) <= _MAX_KEY_CHARACTERS]
    return not lines or (bool(keys) and len(keys) * 2 > len(top))


def _bound(values: dict[str, Any], notes: list[Note]) -> tuple[dict[str, Any], list[Note]]:
    if has_more_values(values, MAX_METADATA_BYTES):
        reason = f"its front matter has more than {MAX_METADATA_BYTES} values, repeated ones counted, and is left out"
        return {}, [*notes, Note(reason=reason, is_loss=True)]
    kept, left_out = _fit({str(name): to_json(value) for name, value in values.items()})
    if left_out:
        more = f" and {len(left_out) - _SHOWN_KEYS:,} more" if len(left_out) > _SHOWN_KEYS else ""
        reason = f"its front matter has too much for metadata; left out: {', '.join(left_out[:_SHOWN_KEYS])}{more}"
        notes = [*notes, Note(reason=reason, is_loss=True)]
    return kept, notes


def _fit(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values that fit into a row together, and the names of the others."""
    kept, left_out, room = dict[str, Any](), list[str](), MAX_METADATA_BYTES
    for name, value in sorted(values.items(), key=lambda item: item[0] != "title"):
        size = len(json.dumps({name: value}, ensure_ascii=False).encode(errors="replace"))
        if size < room:
            kept[name], room = value, room - size
        else:
            left_out.append(name)
    return kept, left_out


def _parse_toml(block: str) -> tuple[dict[str, Any], list[Note]]:
    try:
        return tomllib.loads(block), []
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}, [Note(reason="its front matter is not TOML, and is left out", is_loss=True)]


def _parse_yaml(block: str) -> tuple[dict[str, Any], list[Note]]:
    try:
        loaded = _load_yaml()(block)
    except (ValueError, RecursionError):
        return _parse_by_key(block)
    return (cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}), []


def _parse_by_key(block: str) -> tuple[dict[str, Any], list[Note]]:
    """Read each key by itself; a value that is not YAML is taken as plain text."""
    values: dict[str, Any] = {}
    plain: list[str] = []
    for part in re.split(r"^(?=[^\s#\-\]}])", block, flags=re.MULTILINE):
        first, _, rest = part.rstrip().partition("\n")
        if not (found := _KEY.match(first)):
            continue
        key = found["key"].strip("\"'")
        try:
            loaded = _load_yaml()(part)
            values[key] = cast("dict[str, Any]", loaded)[key] if isinstance(loaded, dict) else None
        except (ValueError, RecursionError, KeyError):
            if len(part) <= MAX_METADATA_BYTES:
                values[key] = "\n".join(each for each in ((found["value"] or "").strip(), rest.strip()) if each)
            plain.append(key)
    reason = f"its front matter is not YAML; taken as plain text: {', '.join(plain)}" if plain else ""
    return values, [Note(reason=reason or "its front matter is not YAML; its keys were read one by one")]


@cache
def _load_yaml() -> Callable[[str], Any]:
    """Return a function that reads YAML; dates stay text, a title as it is written, and unknown tags are ignored.

    It raises ValueError for text that is not YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML as front matter uses it."""

    def construct_unknown(loader: Any, _suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    resolvers = cast("dict[str, list[tuple[str, Any]]]", yaml.SafeLoader.yaml_implicit_resolvers)
    Loader.yaml_implicit_resolvers = {
        first: [each for each in found if each[0] not in _OTHER_TYPES] for first, found in resolvers.items()
    }
    for name, pattern, first in _YAML_TYPES:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", pattern, list(first))
    Loader.add_multi_constructor("", construct_unknown)

    def load(block: str) -> Any:
        try:
            loader = Loader(block)
            try:
                node = cast("Any", loader).get_single_node()
                values = cast("Any", loader).construct_document(node) if node else None
            finally:
                cast("Any", loader).dispose()
        except yaml.YAMLError as error:
            raise ValueError("not YAML") from error
        return cast("dict[Any, Any]", values) | find_title(node.value) if isinstance(values, dict) else values

    def find_title(pairs: list[tuple[Any, Any]]) -> dict[str, str]:
        texts = [(key.value, value) for key, value in pairs if isinstance(value, yaml.ScalarNode)]
        return {key: value.value for key, value in texts if key == "title" and value.tag != _NULL}

    return load
