"""Source code: cut along its definitions, with nothing lost, whatever is in it."""

import pickle
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemvec.documents import BadDocument, Filters, PassageOptions, Remote, Sources, Splitter
from gemvec.documents.cutting import list_packages
from gemvec.documents.languages import CODE_NOT_ASKED_FOR, CODE_SUFFIXES, LANGUAGES
from gemvec.documents.place import make_document
from gemvec.documents.program import MAX_LINE_CHARACTERS
from gemvec.documents.readers import find_reader
from gemvec.documents.root import Root
from gemvec.documents.scope import find_scope
from gemvec.documents.text import UnreadableDocument

CODE = Filters(code=True)
PYTHON = '''"""Stacks and queues."""

import os

LIMIT = 10


# Keeps things in order.
@final
@dataclass(
    frozen=True,
)
class Stack(Base):
    """The last one comes first."""

    items: list

    @property
    def top(self):
        # None would be ambiguous.
        return self.items[-1]

    async def push(self, item):
        def check():
            return item is not None

        if check():
            self.items.append(item)
        else:
            raise ValueError(item)
'''
JAVASCRIPT = """const express = require("express");

/** Counts calls. */
export class Counter extends Base {
  #calls = 0;

  // One more.
  count() {
    this.#calls += 1;
  }

  reset = async () => {
    this.#calls = 0;
  };
}

export default function start() {
  return new Counter();
}

const stop = (counter) => {
  counter.reset();
};

module.exports.twice = function () {
  start();
};

const tools = {
  list() {
    return [];
  },
};
"""
TYPESCRIPT = """import { A } from "a";

/** A shop. */
@Component({
  selector: "shop",
})
export class Shop<T> {
  @Input()
  name: string = "";

  // Opens it.
  @HostListener("click")
  open(): void {
    this.name = "open";
  }
}

interface Door {
  width: number;
}

namespace Walls {
  export function paint() {
    return "white";
  }
}

type Key = {
  teeth: number;
};

enum Lock {
  Open,
}
"""
TSX = """export const Page = () => {
  const title = useTitle();
  return (
    <div className="page">
      {title}
    </div>
  );
};
"""
GO = """package stack

import "fmt"

// Stack keeps things.
type Stack[T any] struct {
	items []T
}

type (
	Size int
	Pair struct {
		a int
	}
)

// Push adds one.
func (s *Stack[T]) Push(item T) {
	s.items = append(s.items, item)
}

func main() {
	fmt.Println("hello")
}
"""
JAVA = """package a.b;

/** A bank. */
@Entity
public class Bank extends House {
    private int money;

    @Override
    public String toString() {
        return "bank";
    }

    Bank() {
        super();
    }

    interface Client {
        void pay();
    }
}
"""
KOTLIN = """package a.b

/** A bird. */
@Serializable
data class Bird(val name: String) : Animal() {
    @Test
    fun sing(times: Int): String {
        return name.repeat(times)
    }
}

object Cage {
    fun open() {
        println("open")
    }
}

fun String.shout() {
    println(this)
}
"""
RUST = """//! Points.
use std::fmt;

/// A point.
#[derive(Debug)]
pub struct Point<T> {
    x: T,
}

impl<T> fmt::Display for Point<T> {
    /// Shows it.
    #[inline]
    fn fmt(&self) -> Result {
        write!("point")
    }
}

mod tests {
    #[test]
    fn works() {
        assert!(true);
    }
}

macro_rules! point {
    () => {};
}
"""
C = """/* Names. */
#include <stdio.h>

#define MAX(a, b) \\
    ((a) > (b) ? (a) : (b))

typedef struct {
    int size;
} name_t;

struct pair {
    int a;
};

/* Finds one. */
static char *find_name(int a,
                       int b)
{
    return names[a];
}
"""
CPP = """namespace shapes {

// A circle.
template <typename T>
class Circle : public Shape {
 public:
  // Its area.
  T area() const {
    return radius_ * radius_ * 3;
  }

 private:
  T radius_;
};

void Circle::draw(int x) {
  x++;
}

Shape& Shape::operator=(const Shape& other) {
  return *this;
}

}  // namespace shapes
"""
CSHARP = """using System;

namespace Trains.Lines
{
    /// <summary>A train.</summary>
    [Serializable]
    public class Train : Vehicle
    {
        public int Wagons { get; set; }

        [Test]
        public async Task<int> Depart(int minute)
        {
            return minute;
        }
    }
}
"""
RUBY = """require "set"

# Trees.
module Garden
  class Tree < Plant
    attr_reader :height

    # Grows it.
    def grow(by)
      @height += by
    end

    def self.plant
      new
    end
  end
end
"""
PHP = """<?php
namespace App\\Mail;

/**
 * A letter.
 */
#[Entity]
abstract class Letter extends Paper
{
    private $text = "";

    /** Sends it. */
    public function send(string $to): bool
    {
        return mail($to, $this->text);
    }
}

function post(Letter $letter) {
    return $letter->send("me");
}
"""
BASH = """#!/bin/bash
# Backs up.
set -e

# Copies a folder.
copy() {
  cp -r "$1" "$2"
}

function clean {
  rm -rf "$1"
}

case "$1" in
  copy)
    copy "$2" "$3"
    ;;
esac
"""
# Name of a file -> its text, and the headings of its definitions.
PROGRAMS = {
    "a.py": (PYTHON, ["Stack", "Stack > top", "Stack > push", "Stack > push > check"]),
    "a.js": (
        JAVASCRIPT,
        [
            "Counter",
            "Counter > count",
            "Counter > reset",
            "start",
            "stop",
            *("module.exports.twice", "tools", "tools > list"),
        ],
    ),
    "a.ts": (TYPESCRIPT, ["Shop", "Shop > open", "Door", "Walls", "Walls > paint", "Key", "Lock"]),
    "a.tsx": (TSX, ["Page"]),
    "a.go": (GO, ["Stack", "Size", "Pair", "(s *Stack[T]) Push", "main"]),
    "a.java": (JAVA, ["Bank", "Bank > toString", "Bank > Bank", "Bank > Client", "Bank > Client > pay"]),
    "a.kt": (KOTLIN, ["Bird", "Bird > sing", "Cage", "Cage > open", "shout"]),
    "a.rs": (
        RUST,
        ["Point", "fmt::Display for Point<T>", "fmt::Display for Point<T> > fmt", "tests", "tests > works", "point"],
    ),
    "a.c": (C, ["MAX", "name_t", "pair", "find_name"]),
    "a.cpp": (
        CPP,
        ["shapes", "shapes > Circle", "shapes > Circle > area", "shapes > Circle::draw", "shapes > Shape::operator="],
    ),
    "a.cs": (
        CSHARP,
        ["Trains.Lines", "Trains.Lines > Train", "Trains.Lines > Train > Wagons", "Trains.Lines > Train > Depart"],
    ),
    "a.rb": (RUBY, ["Garden", "Garden > Tree", "Garden > Tree > grow", "Garden > Tree > plant"]),
    "a.php": (PHP, ["App\\Mail", "Letter", "Letter > send", "post"]),
    "a.sh": (BASH, ["copy", "clean"]),
}
SIZES = (1, 8, 24, 64, 300)


def read(name, text):
    data = text.encode() if isinstance(text, str) else text
    return make_document(data, find_reader(Path(name)), name)


def cut(document, max_tokens=24):
    return Splitter(PassageOptions(max_tokens=max_tokens, overlap_tokens=0)).split(document)


def squeeze(text):
    """What is there beside white space."""
    return "".join(text.split())


def join(passages):
    return squeeze("".join(each.text for each in passages))


def test_each_language_has_a_program_here():
    assert {suffix for language in LANGUAGES for suffix in language.suffixes} == CODE_SUFFIXES
    assert {find_reader(Path(name)).becomes for name in PROGRAMS} == {
        find_reader(Path(f"a{language.suffixes[0]}")).becomes for language in LANGUAGES
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_headings_are_the_chain_of_names_of_definitions(name):
    text, headings = PROGRAMS[name]
    document = read(name, text)
    assert [" > ".join(each.headings) for each in document.blocks if each.is_definition] == headings
    assert {each.heading for each in cut(document, 12)} <= {"", *headings}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_read_without_errors_of_syntax(name):
    """The grammar knows what stands in the programs above, so that they test what they seem to."""
    from gemvec.documents.languages import open_parser

    language = next(each for each in LANGUAGES if Path(name).suffix in each.suffixes)
    assert not open_parser(language).parse(PROGRAMS[name][0].encode()).root_node.has_error


@pytest.mark.parametrize("max_tokens", SIZES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_lost_and_nothing_repeated(name, max_tokens):
    text = PROGRAMS[name][0]
    assert join(cut(read(name, text), max_tokens)) == squeeze(text)


@pytest.mark.parametrize("max_tokens", SIZES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_definition_that_fits_is_never_cut(name, max_tokens):
    document = read(name, PROGRAMS[name][0])
    splitter = Splitter(PassageOptions(max_tokens=max_tokens, overlap_tokens=0))
    passages, lines = [each.text for each in splitter.split(document)], document.text.split("\n")
    for block in document.blocks:
        body = "\n".join(lines[block.core : block.end]).strip()
        if block.is_definition and splitter.count_tokens(body) <= max_tokens:
            assert any(body in each for each in passages), (block, passages)


@pytest.mark.parametrize("max_tokens", SIZES[1:])
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_line_is_cut_that_fits(name, max_tokens):
    splitter = Splitter(PassageOptions(max_tokens=max_tokens, overlap_tokens=0))
    whole = {line.strip() for line in PROGRAMS[name][0].split("\n") if splitter.count_tokens(line) <= max_tokens}
    found = {line.strip() for each in splitter.split(read(name, PROGRAMS[name][0])) for line in each.text.split("\n")}
    assert whole - {""} <= found


def test_comments_and_decorators_stay_with_what_follows_them():
    (passage,) = [each for each in cut(read("a.py", PYTHON), 30) if each.heading == "Stack > top"]
    assert passage.text.strip().startswith("@property\n    def top(self):\n        # None")
    passages = cut(read("a.py", PYTHON), 34)
    (passage,) = [each for each in passages if "class Stack" in each.text]
    assert passage.text.startswith("# Keeps things in order.\n@final\n@dataclass(")
    (passage,) = [each for each in cut(read("a.rs", RUST), 34) if each.heading.endswith("> fmt")]
    assert passage.text.lstrip().startswith("/// Shows it.\n    #[inline]\n    fn fmt")


def test_a_passage_keeps_its_indentation_and_its_line():
    (passage,) = [each for each in cut(read("a.py", PYTHON), 30) if each.heading == "Stack > top"]
    assert passage.text.startswith("    @property\n    def top")
    assert passage.position == f"line {PYTHON.split(chr(10)).index('    @property') + 1}"


def test_short_definitions_are_joined_and_have_the_heading_around_them():
    text = "class A:\n" + "".join(f"    def f{number}(self): return {number}\n\n" for number in range(40))
    passages = cut(read("a.py", text), 64)
    assert 3 < len(passages) < 20
    assert {each.heading for each in passages[:-1]} == {"A"}


def test_the_title_is_the_end_of_the_path():
    assert read("src/gemvec/cli/app.py", PYTHON).title == "src/gemvec/cli/app.py"
    assert read("https://h/p.git/core/src/main/java/a/B.java", JAVA).title == "main/java/a/B.java"


def test_the_language_is_metadata():
    assert read("a.cc", CPP).metadata == {"language": "C++"}


@pytest.mark.parametrize("name", PROGRAMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_program_with_errors_of_syntax_loses_nothing(name, data):
    text = PROGRAMS[name][0]
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    between = data.draw(st.text(alphabet="(){}[]<>\"'`;:,=#/*\\\n\tab é\u2028\f", max_size=20))
    broken = text[:start] + between + text[stop:]
    try:
        document = read(name, broken)
    except UnreadableDocument:
        assert not any(map(str.isalnum, broken))
        return
    for max_tokens in (5, 40):
        assert join(cut(document, max_tokens)) == squeeze(broken)


@pytest.mark.parametrize("max_tokens", SIZES)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.js", "/* One. */ const a = {\n  f() {\n    return 1;\n  },\n};\nfunction b() {\n  return 2;\n}\n"),
        ("a.java", "/* One. */ class A {\n  void f() {\n    g();\n  }\n}\n@Two\nclass B {\n  int x;\n}\n"),
        ("a.cs", "/* One. */ namespace A {\n  class B {\n    int x;\n  }\n}\nclass C {\n  int y;\n}\n"),
        ("a.php", "<?php\n/* One. */ class A {\n  function f() {\n    g();\n  }\n}\nclass B {\n  public $x;\n}\n"),
        ("a.rs", "/* One. */ mod a {\n  fn f() {\n    g();\n  }\n}\nstruct B {\n  x: u8,\n}\n"),
    ],
)
def test_a_definition_may_stand_behind_a_comment_on_its_line(name, text, max_tokens):
    document = read(name, text)
    assert [block.start for block in document.blocks] == sorted(block.start for block in document.blocks)
    assert document.blocks[name.endswith("php")].headings == (("a",) if name in {"a.js", "a.rs"} else ("A",))
    assert join(cut(document, max_tokens)) == squeeze(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rb", "# One.\n{module A\n  class B\n    def f\n      1\n    end\n  end\nend\n# Two.\nmodule C\nend\n"),
        ("a.js", "/* a */ x; /* b */ const c = {\n f() {\n  1\n },\n};\n/* d */ ) y = {\n g() {\n  2\n }\n}\n"),
    ],
)
def test_a_comment_that_stays_with_nothing_keeps_its_place(name, text):
    document = read(name, text)
    assert [block.start for block in document.blocks] == sorted(block.start for block in document.blocks)
    assert join(cut(document, 5)) == squeeze(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_of_encodings_and_line_ends_of_windows_are_understood(encoding):
    document = read("a.py", PYTHON.replace("\n", "\r\n").encode(encoding))
    assert document.text == PYTHON
    assert not document.notes


def test_a_declared_encoding_is_used():
    text = "# -*- coding: latin-1 -*-\nname = 'Köln für Größe'\n"
    document = read("a.py", text.encode("latin-1"))
    assert (document.text, document.notes) == (text, ())
    assert read("a.py", text.encode()).text == text  # but UTF-8 is UTF-8


def test_an_encoding_that_is_guessed_is_said():
    (note,) = read("a.c", "/* Größe, Straße, Köln, für, über, schön, häufig */\nint a;\n".encode("cp1252")).notes
    assert note.reason.startswith("its encoding is a guess")


def test_form_feeds_tabs_and_rare_line_ends_stay_in_their_lines():
    text = "def f():\n\treturn 'a\x0bb\u2028c'\n\x0c\ndef g():\n\treturn 2\n"
    document = read("a.py", text)
    assert document.text == text
    assert [each.headings for each in document.blocks if each.is_definition] == [("f",), ("g",)]
    assert [each.position for each in cut(document, 6)][-1] in {"line 4", "line 5"}


def test_characters_stay_as_they_are():
    text = "ligature = '\ufb01'\nwide = '\uff21'\nhidden = 'a\u200bb'\n"
    assert read("a.py", text).text == text


def test_lines_that_only_programs_write_are_left_out_and_said():
    long = "x" * (MAX_LINE_CHARACTERS + 1)
    document = read("a.py", f"def f():\n    return 1\n\n{long}\n\ndef g():\n    return '{long}'\n")
    (note,) = document.notes
    assert note.is_loss
    assert note.reason.startswith("line 4 and 1 more left out: longer than 5,000 characters")
    assert [each.headings for each in document.blocks if each.is_definition] == [("f",), ("g",)]
    with pytest.raises(UnreadableDocument, match="minified or generated"):
        read("a.js", "var a=1;" * 250_000)


def test_lines_that_are_nearly_too_long_take_no_longer_than_others():
    line = "x" * (MAX_LINE_CHARACTERS - 1)
    start = time.perf_counter()
    read("a.sh", f"# {line[2:]}\n" * 2_000)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.ts", b'<?xml version="1.0"?>\n<!DOCTYPE TS>\n<TS></TS>', "it is XML, although its name says TypeScript"),
        ("a.ts", b"G@\x11\x10\x00B\xf0" * 30, "NUL"),
        ("a.js", b"{}\n", "no words"),
    ],
)
def test_what_is_no_program_is_refused(name, data, reason):
    with pytest.raises(UnreadableDocument, match=reason):
        read(name, data)


@pytest.mark.parametrize("opening", ["(", "[", "{", "x=(", "if(x){\n", "class A{\n", "<", "f(a,\n"])
@pytest.mark.parametrize("name", ["a.py", "a.js", "a.cpp", "a.rs", "a.sh"])
def test_deep_nesting_loses_nothing(name, opening):
    text = "a\n" + (opening * 20_000 if "\n" in opening else f"{opening * 400}\n" * 10)
    document = read(name, text)
    assert max((len(each.headings) for each in document.blocks), default=0) <= 8
    assert join(cut(document)) == squeeze(text)


def test_a_long_program_is_cut_like_its_parts():
    function = "def f{0}():\n    return {0}\n\n\n"
    text = "".join(function.format(number) for number in range(12_000))
    document = read("a.py", text)
    assert len([each for each in document.blocks if each.is_definition]) == 12_000
    assert [each.start for each in document.blocks if each.is_definition] == list(range(0, 48_000, 4))
    assert join(cut(document, 128)) == squeeze(text)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.py").write_text(PYTHON)
    (folder / "b.pl").write_text("print 1;\n")
    (folder / "c.md").write_text("# Text\n\nWords.\n")
    (folder / "__init__.py").write_text("")
    return folder


def test_code_is_read_only_when_asked_for(project):
    sources = Sources(["src"])
    assert [each.id for each in sources] == ["src/c.md"]
    assert sources.left_out.files == {".py": 2, ".pl": 1}
    sources = Sources(["src"], filters=CODE)
    assert [each.id for each in sources] == ["src/a.py", "src/c.md"]
    assert sources.left_out.files == {".pl": 1}
    assert sources.left_out.ignored == {"being empty": 1}


@pytest.mark.parametrize("source", ["src/a.py", "src/a.*"])
def test_a_file_of_code_that_is_named_says_how_it_is_read(project, source):
    (found,) = Sources([source])
    assert isinstance(found, BadDocument)
    assert (found.id, found.reason) == ("src/a.py", CODE_NOT_ASKED_FOR)
    (found,) = Sources([source], filters=CODE)
    assert found.text == PYTHON


def test_a_language_without_a_grammar_is_refused_by_name(project):
    (found,) = Sources(["src/b.pl"], filters=CODE)
    assert found.reason.startswith("there is no reader for .pl")


@pytest.mark.parametrize(("code", "belongs"), [(True, True), (False, True), (None, False)])
def test_code_that_is_neither_asked_for_nor_declined_is_not_pruned(project, code, belongs):
    scope = find_scope("src", Root.of(), Filters(code=code))
    assert scope.holds("src/gone.py") == belongs
    assert scope.holds("src/gone.md")
    assert find_scope("src/gone.py", Root.of(), Filters(code=code)).holds("src/gone.py")


def test_without_its_packages_code_is_left_out_with_the_command_that_gets_on(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_rust", None)
    (project / "d.rs").write_text(RUST.replace("point", "dot"))
    from gemvec.documents.languages import _load_grammar

    _load_grammar.cache_clear()
    (found,) = Sources(["src/d.rs"], filters=CODE)
    assert found.reason.startswith("Reading Rust needs more packages.")
    assert "gemvec[code]" in found.reason or ".[code]" in found.reason
    monkeypatch.undo()
    _load_grammar.cache_clear()


def test_an_object_of_code_is_read_when_asked_for(store_url, tmp_path):
    from obstore.store import from_url

    from_url(store_url).put("src/a.py", PYTHON.encode())
    with Remote(tmp_path / "cache") as remote:
        assert not list(Sources([store_url], remote=remote))
        (bad,) = Sources([f"{store_url}/src/a.py"], remote=remote)
        assert (bad.id, bad.reason) == (f"{store_url}/src/a.py", CODE_NOT_ASKED_FOR)
        for source in (store_url, f"{store_url}/src/a.py"):
            (found,) = Sources([source], remote=remote, filters=CODE)
            assert (found.text, found.format) == (PYTHON, "code")


def test_a_page_of_code_is_read_as_such_when_asked_for_also_after_a_run_without(site, tmp_path):
    site.put("/a.py", PYTHON, "text/plain")
    site.put("/b.js", JAVASCRIPT, "application/javascript")
    with Remote(tmp_path / "cache") as remote:
        formats = [
            [found.format for found in Sources([f"{site.url}/a.py"], remote=remote, filters=Filters(code=code))]
            for code in (None, True, None)
        ]
        assert formats == [["text"], ["code"], ["text"]]
        (bad,) = Sources([f"{site.url}/b.js"], remote=remote)
        assert bad.reason == CODE_NOT_ASKED_FOR
        (found,) = Sources([f"{site.url}/b.js"], remote=remote, filters=CODE)
        assert found.metadata == {"language": "JavaScript"}


def test_a_node_that_reads_documents_has_the_same_grammars():
    assert {"tree-sitter", *(language.package for language in LANGUAGES)} <= set(list_packages())


def test_a_program_can_be_read_and_cut_on_another_machine(project):
    (found,) = [each for each in Sources(["src"], filters=CODE).unread() if each.id == "src/a.py"]
    there = pickle.loads(pickle.dumps(found.read_elsewhere))()
    assert cut(there) == cut(found.read())
