"""Long Markdown is parsed in stretches, and that shows nowhere but in the memory that it takes."""

import pytest

from gemvec.documents import stretches
from gemvec.documents.blocks import find_blocks, find_lines

TABLE = "| a | b |\n| --- | :-: |\n" + "".join(f"| {number} | x\u2028y |\n" for number in range(200))
PARTS = [
    "# Title\n\nA paragraph\nof two lines.\n\n- an item\n\n  and its text\n\nAfter the list.\n",
    "Setext\n------\n\n> a quote\n\n1. one\n2. two\n\n## Below\n\nText.\n",
    "```sh\n| not | a table |\n| --- | --- |\n\nText in code\n# no heading\n~~~\n```\n\n    indented code\n\nText\n",
    f"As a table:\n{TABLE}\nAfter it.\n\n{TABLE}\n| c |\n| --- |\n| 1 |\n| 2 |\n",
    "<div>\n<p>HTML</p>\n</div>\n\nText with `code` <b>in</b> it.\n\n* a\n* b\n\nLast\n",
    "| no | table |\n| --- |\n| x |\n| y |\n\n| x |\n\nText\n\n```code``` in a line\n\nText\n",
    "<!-- a note\n\n# of\n\nlines -->\n\n<pre class=x>\na\n\nb\n</pre>\n",
    "\n<?php\n\na\n?>\n\n<!-- b -->\n\n<!DOCTYPE\n\nx>\n\nText\n",
    "- ```sh\n  a\n\n  b\n  ```\n\n1.  a\n\n    ```\n    b\n\nText\n",
    "\nText\n\n- <pre>\n\nText\n\n# A\n\n  ```\na\n\nb\n  ```\n\nText\n",
    "```\n```js\na\n\nb\n```\n\n~~~\n~~~~ js\n\na\n~~~~\n\nText\n",
    "Text\n\n~~~~\n```\n\nopen to the end\n",
    "- a\n- b\n  goes on\n  - in it\n\n- ```\n- d\n* another\n* list\n* * *\n- - e\n- f\n\nText\n- g\n- h\n",
    "1. a\n2. b\n   <div>\n3. c\n  <div>\n4. no item\n\n5) d\n6) e\n- f\n7) no item\n\n<div>\n- no\n- item\n",
    "* **a** b\n* _c_ d\n* ***e***\n\n* * *\n\n* __f__\n* *\n* **\n- _ _ _\n- __\n- **g\n\n* ** *\n",
    "- a\n- b\n\n ```\n- no item\n- nor this\n\n- nor\n ```\n\n- c\n- d\n",
]
TEXTS = [*PARTS, "\n".join(PARTS), "\n\n".join([*PARTS[:-1], *PARTS]), "no newline at the end\n\nb"]
TEXTS += [TEXTS[-2].replace("\n", end) for end in ("\r\n", "\r")] + [TEXTS[-2].replace("a\n\nb", "a\n\rb\r\n\r")]


@pytest.mark.parametrize("characters", [1, 60, 700, 2_500])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("find", [find_blocks, find_lines])
def test_stretches_have_the_blocks_of_the_whole(text, characters, find, monkeypatch):
    whole = list(find(text))
    monkeypatch.setattr(stretches, "STRETCH_CHARACTERS", characters)
    assert list(find(text)) == whole


@pytest.mark.parametrize(
    "text",
    [
        TABLE * 3,
        "# A\n\nText.\n\n" * 200,
        "Text.\n\n" * 200,
        "- Item.\n" * 200,
        "1. An item\n   goes on.\n   - in it\n" * 90,
        "* **An** item\n\n  goes on.\n\n" * 90,
    ],
)
def test_long_tables_sections_paragraphs_and_lists_are_cut(text, monkeypatch):
    monkeypatch.setattr(stretches, "STRETCH_CHARACTERS", 300)
    found = list(stretches.cut_stretches(text))
    assert max(len(each.text) for each in found) < 400
    assert "".join(each.text.removeprefix(TABLE[:24] if each.header else "") for each in found) == text


def test_a_text_with_carriage_returns_is_cut(monkeypatch):
    monkeypatch.setattr(stretches, "STRETCH_CHARACTERS", 1)
    assert [each.text for each in stretches.cut_stretches("a\r\n\r\nb\r\rc\n\nd")] == [
        "a\r\n\r\n",
        "b\r\r",
        "c\n\n",
        "d",
    ]
