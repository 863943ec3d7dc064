"""Passages are stretches of their document: nothing is lost, nothing invented, and each says where it stands."""

import gc
import re
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from gemvec.documents.markdown import find_title
from gemvec.documents.passages import MAX_PASSAGE_CHARACTERS
from gemvec.documents.rst import rst_to_markdown
from gemvec.documents.titles import join_title
from gemvec.errors import InvalidRequest
from gemvec.milvus import Document, PassageOptions, Splitter

GUIDE = """# Guide

Opening words of the guide.

## Batches

A batch is a durable job. It survives a crash.

### Cancel

Send cancel to stop it.

```python
# not a heading
client.batches.cancel(name="b")
```

## Files

Files expire.
"""


def split(text, *, max_tokens=20, overlap_tokens=0, **fields):
    fields = {"id": "a", "title": "Guide", "format": "markdown", **fields}
    options = PassageOptions(max_tokens=max_tokens, overlap_tokens=overlap_tokens)
    return Splitter(options).split(Document(text=text, **fields))


def test_a_small_document_is_one_passage():
    (passage,) = split("One sentence.", max_tokens=50)
    assert (passage.number, passage.text, passage.position) == (0, "One sentence.", "line 1")


@pytest.mark.parametrize("joint", [" ", "\n\n"])
def test_nothing_of_a_very_long_text_is_lost_and_each_part_says_its_line(joint):
    words = [f"word{number}" for number in range(12_000)]
    passages = split(joint.join(words), format="text")
    assert [word for passage in passages for word in passage.text.split()] == words
    line = {word: number if joint == "\n\n" else 0 for number, word in enumerate(words)}
    assert all(passage.position == f"line {2 * line[passage.text.split()[0]] + 1}" for passage in passages)


def test_a_document_of_nothing_but_space_has_no_passage():
    assert split(" \n\t\n") == []


def test_passages_know_their_headings_and_lines():
    by_text = {passage.text.split("\n")[0]: passage for passage in split(GUIDE)}
    cancel = by_text["### Cancel"]
    assert cancel.heading == "Guide > Batches > Cancel"
    assert cancel.position == "line 9"
    assert cancel.title == "Guide > Batches"


def test_a_comment_in_code_is_not_a_heading():
    assert all("not a heading" not in passage.heading for passage in split(GUIDE))


def test_a_heading_is_never_alone():
    passages = split("# A\n\n## B\n\n" + "words and more words in a long paragraph here. " * 3, max_tokens=12)
    assert passages[0].text.startswith("# A\n\n## B\n\nwords")


def test_a_heading_stays_with_a_line_that_introduces_a_long_block():
    passages = split("# A\n\nIt says:\n\n```text\n" + "some words in a block of text\n" * 3 + "```\n", max_tokens=20)
    assert passages[0].text.startswith("# A\n\nIt says:")


def test_short_sections_are_joined_with_those_below_them_and_not_beside_them():
    passages = split(
        "# A\n\nShort.\n\n## B\n\n" + "many words " * 8 + "\n\n## C\n\n" + "other words " * 8, max_tokens=24
    )
    assert [passage.text.split("\n")[0] for passage in passages] == ["# A", "## C"]


@pytest.mark.parametrize("container", ["- an item\n\n", ""])
def test_sections_within_a_list_item_or_a_quote_are_cut_like_others(container):
    indent = "  " if container else "> "
    sections = [f"## Part {letter}\n\n" + f"words on {letter} " * 8 + "\n\n" for letter in "ABC"]
    inner = "".join(f"{indent}{line}".rstrip() + "\n" for line in "".join(sections).split("\n"))
    passages = split(f"# Guide\n\nOpening.\n\n{container}{inner}", max_tokens=30)
    headings = {letter: {each.heading for each in passages if f"on {letter}" in each.text} for letter in "ABC"}
    assert headings == {letter: {f"Guide > Part {letter}"} for letter in "ABC"}


def test_a_list_after_a_quote_with_a_heading_is_cut_between_its_items():
    items = "".join(f"- item {number} has some words\n" for number in range(8))
    passages = split(f"> ## Quoted\n>\n> Words.\n\n{items}", max_tokens=20)
    assert len(passages) > 2
    assert all(line.startswith("- item") for each in passages[1:] for line in each.text.split("\n"))


def test_a_scrap_stays_with_what_comes_before_it():
    (passage,) = split("".join(f"Word number {number} is here.\n\n" for number in range(5)) + "End.\n", max_tokens=33)
    assert passage.text.endswith("End.")


def test_a_tables_head_stays_with_its_first_row():
    rows = "".join(f"| name{number} | some words of value |\n" for number in range(9))
    passages = split(f"| a | b |\n| --- | --- |\n{rows}", max_tokens=30)
    assert "| --- |" in passages[0].text
    assert "name0" in passages[0].text
    assert len(passages) > 1


def test_parts_of_a_long_section_are_of_about_the_same_size():
    passages = split("".join(f"Paragraph number {number} has some words.\n\n" for number in range(12)), max_tokens=40)
    sizes = [len(passage.text) for passage in passages]
    assert max(sizes) < 2 * min(sizes)


def test_a_code_block_that_fits_is_not_cut():
    code = "```python\nfirst = 1\nsecond = 2\n```"
    passages = split(f"Some words before it that fill a passage nearly whole.\n\n{code}\n\nAnd after.", max_tokens=22)
    assert any(code in passage.text for passage in passages)


def test_overlap_repeats_the_end_of_a_cut_paragraph():
    text = " ".join(f"w{number}" for number in range(40))
    passages = split(text, max_tokens=10, overlap_tokens=3, format="text")
    assert passages[0].text.split()[-1] in passages[1].text.split()


def test_pages_of_a_pdf_are_named():
    passages = split("first page words\n\nsecond page words", max_tokens=4, format="text", page_starts=(0, 18))
    assert [passage.position for passage in passages] == ["page 1", "page 2"]


def test_parts_of_a_record_name_the_record():
    passages = split("one two three four\n\nfive six seven eight", max_tokens=5, format="text", place="line 7")
    assert [passage.position for passage in passages] == ["line 7, part 1 of 2", "line 7, part 2 of 2"]


def test_a_word_without_end_is_cut_to_what_milvus_takes():
    assert max(len(passage.text) for passage in split("x" * 50_000, max_tokens=100_000)) <= MAX_PASSAGE_CHARACTERS


def test_sizes_are_in_tokens_of_the_model(tiny_model):
    splitter = Splitter(PassageOptions(max_tokens=16, overlap_tokens=0), tiny_model / "tokenizer.json")
    passages = splitter.split(Document(id="a", text="the model reads many words in one sentence " * 20))
    assert len(passages) > 1
    assert all(splitter.count_tokens(passage.text) <= 18 for passage in passages)


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n\n\n"])
def test_passages_of_many_short_blocks_fit_also_where_lines_between_blocks_count_as_more_than_lines_at_an_end(
    tmp_path, between
):
    newline = "Ċ"  # how byte-level tokenizers write it
    pieces = [newline * count for count in (1, 2, 4)]
    vocabulary = sorted({*pre_tokenizers.ByteLevel.alphabet(), *pieces})
    merges = [(newline, newline), (newline * 2, newline * 2)]
    tokenizer = Tokenizer(models.BPE({piece: place for place, piece in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    splitter = Splitter(PassageOptions(max_tokens=32, overlap_tokens=0), tmp_path / "tokenizer.json")
    for text in (between.join(f"- {number}" for number in range(90)), between.join(["a", "***"] * 60)):
        passages = splitter.split(Document(id="a", text=text, format="markdown"))
        assert max(splitter.count_tokens(passage.text) for passage in passages) <= 36


@pytest.mark.parametrize("has_tokenizer", [False, True])
def test_a_splitter_is_freed_after_use(tiny_model, has_tokenizer):
    splitter = Splitter(
        PassageOptions(max_tokens=5, overlap_tokens=0), tiny_model / "tokenizer.json" if has_tokenizer else None
    )
    assert len(splitter.split(Document(id="a", text="some words and more of them " * 9))) > 1
    freed = weakref.ref(splitter)
    del splitter
    gc.collect()
    assert freed() is None


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_tokens": 5, "overlap_tokens": 5}, {"overlap_tokens": -1}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(InvalidRequest, match="tokens is"):
        PassageOptions(**options)


@pytest.mark.parametrize(
    ("title", "heading", "text", "joined"),
    [
        ("Doc", "", "text", "Doc"),
        ("Doc", "A > B", "text", "Doc > A > B"),
        ("Doc", "A > B", "## B\ntext", "Doc > A"),
        ("Doc", "Doc > B", "text", "Doc > B"),
        ("Doc", "Doc", "# Doc\ntext", "Doc"),
        ("", "", "text", ""),
    ],
)
def test_title_and_headings_are_joined_without_saying_anything_twice(title, heading, text, joined):
    assert join_title(title, heading, text) == joined


@pytest.mark.parametrize("word", ["word", "слово", "向量"])
def test_headings_that_are_too_long_to_be_said_with_each_passage_are_shortened_and_stay_text(word):
    heading = " ".join(f"{word}{number}" for number in range(3_000))
    passages = split(f"# {heading}\n\nOne.\n\n## Part\n\n" + "Some text. " * 50)
    assert max(len(passage.title.encode()) for passage in passages) < 600
    assert heading.replace(" ", "") in "".join("".join(each.text.split()) for each in passages)
    assert passages[-1].heading.endswith("… > Part")


def test_of_many_long_headings_the_innermost_ones_are_said():
    levels = [f"{'#' * level} Level {level} {'long ' * 30}" for level in range(1, 7)]
    passage = split("\n\n".join([*levels, "text " * 40]), title="")[-1]
    assert len(passage.title.encode()) < 600
    assert "Level 6" in passage.heading


TEXTS = st.text(st.sampled_from("ab #\n`~.x中é\t"), max_size=300)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(["markdown", "text"]), st.integers(1, 30))
def test_every_letter_is_in_a_passage_in_order(text, document_format, max_tokens):
    passages = split(text, max_tokens=max_tokens, format=document_format)
    read = "".join(passage.text for passage in passages)
    assert re.findall(r"\w", read) == re.findall(r"\w", text)


ROWS = "".join(
    f"| E-{number} | part {number} failed to start and must be restarted by hand |\n" for number in range(1, 13)
)


def test_each_piece_of_a_table_has_its_header():
    passages = split(f"# Table\n\n| code | meaning |\n|---|---|\n{ROWS}", max_tokens=40)
    assert len(passages) > 2
    assert all(passage.text.count("| code | meaning |\n|---|---|\n") == 1 for passage in passages)
    rows = [line for passage in passages for line in passage.text.split("\n") if line.startswith("| E-")]
    assert rows == ROWS.splitlines()


def test_each_piece_of_a_list_table_of_rst_has_its_header():
    rows = "".join(f"   * - E-{number}\n     - part {number} failed, restart it by hand\n" for number in range(1, 13))
    rst = f"Table\n=====\n\n.. list-table:: Errors\n   :header-rows: 1\n\n   * - code\n     - meaning\n{rows}"
    passages = split(rst_to_markdown(rst), max_tokens=40)
    assert len(passages) > 2
    assert all(passage.text.count("| code | meaning |\n| --- | --- |\n") == 1 for passage in passages)


def test_code_is_cut_between_lines():
    lines = [f"    call_number_{number}(first, second, third)  # why it is called" for number in range(30)]
    passages = split("# Code\n\n```python\n" + "\n".join(lines) + "\n```\n", max_tokens=40)
    assert len(passages) > 3
    assert [line for passage in passages for line in passage.text.split("\n") if "call_" in line] == lines


@pytest.mark.parametrize(
    "markup",
    [
        "- [Install](install.md)\n- [Use](use.md)\n- [Remove](remove.md)\n",
        "![A picture](a.png)\n",
        "![[picture.png#interface|300]]\n",
        "[a]: https://example.org/a\n[b]: https://example.org/b\n",
        "| |\n|---|\n",
        "***\n",
        "https://example.org/a-page\n",
    ],
)
def test_what_is_only_markup_or_links_is_no_passage(markup):
    assert split(markup) == []


def test_a_heading_a_single_link_and_links_with_words_are_passages():
    for text in ("# Heading\n", "[Read this](a.md)\n", "- [a](a) one\n- [b](b) two\n- [c](c) three\n"):
        assert [passage.text for passage in split(text, max_tokens=64)] == [text.strip()]


def test_a_long_text_is_cut_in_time_that_grows_with_its_length():
    text = "A line of some words.\n\n" * 40_000
    passages = split(text, format="text")
    assert passages[-1].position == f"line {80_000 - 1 - 2 * passages[-1].text.count('line') + 2}"


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_keys_are_distinct_and_the_same_each_time(text):
    first, second = split(text), split(text)
    keys = [passage.key("a", "1") for passage in first]
    assert keys == [passage.key("a", "1") for passage in second]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![Logo](logo.svg) [Pump](https://example.org) guide", "Pump guide"),
        ("Pump [![build](a.svg)](https://example.org/ci) ![npm][badge]", "Pump"),
        ("[![The pump](logo.svg)](https://example.org)", "The pump"),
        ("Call `run[0](x)` of [x](y)", "Call `run[0](x)` of x"),
        ("An array[0] and [a link][there]", "An array[0] and a link"),
    ],
)
def test_headings_have_no_addresses_and_pictures(written, shown):
    text = f"# {written}\n\nSome words about it.\n"
    assert find_title(text) == shown
    (passage,) = Splitter().split(Document(id="a", text=text, title=shown, format="markdown"))
    assert (passage.heading, passage.title) == (shown, shown)
