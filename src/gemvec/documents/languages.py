"""Programming languages whose source code is read: the table `LANGUAGES`, and the parser of each, by tree-sitter.

Each grammar is a package of its own, which holds it compiled; nothing is fetched when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language.

    Attributes:
        name: as people write it.
        suffixes: of its files, in lower case.
        package: what brings its grammar.
        grammar: the function of that package that returns it.
    """

    name: str
    suffixes: tuple[str, ...]
    package: str
    grammar: str = "language"


LANGUAGES = (
    Language(name="Python", suffixes=(".py", ".pyi", ".pyw"), package="tree-sitter-python"),
    Language(name="JavaScript", suffixes=(".js", ".mjs", ".cjs", ".jsx"), package="tree-sitter-javascript"),
    Language(
        name="TypeScript",
        suffixes=(".ts", ".mts", ".cts"),
        package="tree-sitter-typescript",
        grammar="language_typescript",
    ),
    Language(name="TSX", suffixes=(".tsx",), package="tree-sitter-typescript", grammar="language_tsx"),
    Language(name="Go", suffixes=(".go",), package="tree-sitter-go"),
    Language(name="Java", suffixes=(".java",), package="tree-sitter-java"),
    Language(name="Kotlin", suffixes=(".kt", ".kts"), package="tree-sitter-kotlin"),
    Language(name="Rust", suffixes=(".rs",), package="tree-sitter-rust"),
    Language(name="C", suffixes=(".c",), package="tree-sitter-c"),
    # A header may be of either; the grammar of C++ reads nearly all of C.
    Language(
        name="C++",
        suffixes=(".cpp", ".cc", ".cxx", ".c++", ".h", ".hpp", ".hh", ".hxx", ".h++", ".ipp", ".tpp"),
        package="tree-sitter-cpp",
    ),
    Language(name="C#", suffixes=(".cs",), package="tree-sitter-c-sharp"),
    Language(name="Ruby", suffixes=(".rb", ".rake", ".gemspec"), package="tree-sitter-ruby"),
    Language(name="PHP", suffixes=(".php",), package="tree-sitter-php", grammar="language_php"),
    Language(name="Bash", suffixes=(".sh", ".bash"), package="tree-sitter-bash"),
)
CODE_SUFFIXES = frozenset(suffix for language in LANGUAGES for suffix in language.suffixes)
LANGUAGE_NAMES = frozenset(language.name for language in LANGUAGES)
# Where the metadata of source code have its language.
LANGUAGE = "language"

# Why a file of source code is left out that a run was not asked for.
CODE_NOT_ASKED_FOR = "it is source code, which is read with --code, in Python with Filters(code=True)"


def is_code(path: PurePath) -> bool:
    """Whether a file is source code in one of the languages, by its suffix."""
    return path.suffix.lower() in CODE_SUFFIXES


def open_parser(language: Language) -> Parser:
    """Return a parser of a language; one must not be used by two threads.

    Raises:
        MissingDependency: tree-sitter or the grammar is not installed.
    """
    try:
        from tree_sitter import Parser

        return Parser(_load_grammar(language))
    except ImportError as error:
        raise MissingDependency(f"Reading {language.name} needs more packages.", extra="code") from error


@cache
def _load_grammar(language: Language) -> Grammar:
    from tree_sitter import Language as Grammar

    package = import_module(language.package.replace("-", "_"))
    compiled: object = getattr(package, language.grammar)()
    return Grammar(compiled)
