"""What a definition in source code is called: `find_name`. Grammars of different languages name most nodes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_MAX_CHARACTERS = 100

# Nodes that have their name in the field `name`.
_NAMED = frozenset(
    {
        *("abstract_class_declaration", "annotation_type_declaration", "class", "class_declaration"),
        *("class_definition", "compact_constructor_declaration", "constructor_declaration", "delegate_declaration"),
        *("destructor_declaration", "enum_declaration", "enum_item", "function_declaration", "function_definition"),
        *("function_item", "function_signature_item", "generator_function_declaration", "interface_declaration"),
        *("internal_module", "local_function_statement", "macro_definition", "method", "method_declaration"),
        *("method_definition", "mod_item", "module", "namespace_declaration", "namespace_definition"),
        *("object_declaration", "operator_declaration", "preproc_function_def", "property_declaration"),
        *("record_declaration", "record_struct_declaration", "singleton_method", "struct_declaration", "struct_item"),
        *("trait_declaration", "trait_item", "type_alias_declaration", "type_spec", "union_item", "companion_object"),
    }
)
# The same, if they have a body: otherwise the name is only used.
_NAMED_WITH_BODY = frozenset({"class_specifier", "enum_specifier", "struct_specifier", "union_specifier"})
# Nodes that are definitions if their value is a function, a class or an object: the fields of the name and the value.
_ASSIGNED = {
    "variable_declarator": ("name", "value"),
    "public_field_definition": ("name", "value"),
    "field_definition": ("property", "value"),
    "pair": ("key", "value"),
    "assignment_expression": ("left", "right"),
}
_VALUES = frozenset({"arrow_function", "class", "function_expression", "generator_function"})
# An object that a variable holds may be a module, with functions in it.
_OBJECT_HOLDERS = frozenset({"variable_declarator", "assignment_expression"})


def find_name(node: Node) -> str:
    """Return the name of the definition that a node is; empty if it is no definition, or has no name."""
    kind = node.type
    if kind == "impl_item":
        return _name_implementation(node)
    if kind in _ASSIGNED:
        name, value = map(node.child_by_field_name, _ASSIGNED[kind])
        is_object = value is not None and value.type == "object" and kind in _OBJECT_HOLDERS
        return _read(name) if value and (is_object or value.type in _VALUES) else ""
    if kind == "type_definition":  # typedef struct { ... } name
        defined = node.child_by_field_name("type")
        is_body = defined is not None and defined.child_by_field_name("body") is not None
        return _read(node.child_by_field_name("declarator")) if is_body else ""
    if kind in _NAMED_WITH_BODY:
        return _read(node.child_by_field_name("name")) if node.child_by_field_name("body") else ""
    if kind not in _NAMED:
        return ""
    name = _read(node.child_by_field_name("name") or _find_declared(node))
    receiver = node.child_by_field_name("receiver")
    return f"{_read(receiver)} {name}" if receiver else name


def _name_implementation(node: Node) -> str:
    """Return what an `impl` of Rust is for."""
    trait, kind = _read(node.child_by_field_name("trait")), _read(node.child_by_field_name("type"))
    return f"{trait} for {kind}" if trait else kind


def _find_declared(node: Node) -> Node | None:
    """Return the name in a declarator of C or C++, which may be in others: of pointers, of references."""
    found, inner = None, node
    while inner is not None and (inner is node or inner.type.endswith("declarator")):
        below = inner.child_by_field_name("declarator")
        inner = below or next((each for each in inner.named_children if each.type.endswith("declarator")), None)
        found = inner or found
    return found if found is None or not found.type.endswith("declarator") else None


def _read(node: Node | None) -> str:
    return " ".join((node.text or b"").decode(errors="replace").split())[:_MAX_CHARACTERS] if node else ""
