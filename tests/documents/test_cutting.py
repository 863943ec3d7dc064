"""What must be equal on another machine before documents are read and cut there."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import gemvec.documents
from gemvec.documents.cutting import list_packages

# What brings bytes, chooses files or writes JSON, whose form does not depend on the version.
NOT_COMPARED = {"filelock", "msgspec", "orjson", "pathspec", "urllib3"}


def test_every_package_with_which_documents_are_read_or_cut_is_compared():
    known = packages_distributions()
    used = set()
    for path in Path(gemvec.documents.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            used |= {name.partition(".")[0] for name in names} - {"gemvec", *sys.stdlib_module_names}
    brought = {known[package][0].lower() for package in used if package in known}
    assert {"markdown-it-py", "beautifulsoup4"} <= brought
    assert brought - NOT_COMPARED <= {each.lower() for each in list_packages()}
