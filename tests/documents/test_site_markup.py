"""What generators of sites read in Markdown is no text: attributes, tags of templates, marks of notes and tabs."""

import time

import pytest

from gemvec.documents import Splitter
from gemvec.documents.document import Document
from gemvec.documents.markdown import strip_tags
from gemvec.documents.readers import read_html, read_markdown, read_mdx
from gemvec.documents.site_markup import strip_site_markup


def read(text):
    return read_markdown(text.encode())


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("# HTTP Basic Auth { #http-basic-auth }", "HTTP Basic Auth"),
        ("# クイックスタート{#quick-start}", "クイックスタート"),
        ('# 9.0.14 { id="9.0.14" }', "9.0.14"),
        ("# Colours {: .wide #colours data-x='1' } #", "Colours"),
        ("Setext {#set}\n===", "Setext"),
        ("# GET /users/{id}", "GET /users/{id}"),
        ("# The set {a, b}", "The set {a, b}"),
    ],
)
def test_attributes_of_a_heading_are_no_part_of_it(heading, title):
    assert read(f"{heading}\n\nText.\n").title == title


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Fixes\n{: #fixes .note }\n\nText.", "Fixes\n\n\nText."),
        ('![a](b.png){ width="300" } and [c](d){:target="_blank"}.', "![a](b.png) and [c](d)."),
        ("Use {name} and `{#id}` and {a: b}.", "Use {name} and `{#id}` and {a: b}."),
        ("{* ../src/first.py hl[9] *}", ""),
        ('--8<-- "notes.md"\n[TOC]\n[[toc]]', "\n\n"),
        (":::note[Do it: now]\nText.\n:::", "**Do it: now**\nText.\n"),
        (":::tip\nText.\n:::", "**Tip**\nText.\n"),
        ("::: details Show me\nText.\n:::", "**Show me**\nText.\n"),
        ('::: {.callout title="Hot"}\nText.\n:::', "**Hot**\nText.\n"),
        (":::{seealso}\n:class: dropdown\nText.\n:::", "\n\nText.\n"),
        ("/// note | नोट\nText.\n///", "**नोट**\nText.\n"),
        ('!!! note "Inner"\n\n    Text.\n\nAfter.', "**Inner**\n\nText.\n\nAfter."),
        ("!!! warning\n    Text.\nAfter.", "**Warning**\nText.\nAfter."),
        (
            '=== "macOS"\n\n    ```\n    brew\n    ```\n\n=== "Linux"\n\n    apt',
            "**macOS**\n\n```\nbrew\n```\n\n**Linux**\n\napt",
        ),
        ('??? tip "Outer"\n    !!! note ""\n        Deep.\n\n    Text.', "**Outer**\n\nDeep.\n\nText."),
        ("!!! wow\nText.", "!!! wow\nText."),
        ("Title\n===\nText.", "Title\n===\nText."),
        ("```\n!!! note\n    {: .x }\n:::\n```", "```\n!!! note\n    {: .x }\n:::\n```"),
    ],
)
def test_marks_of_notes_tabs_and_attributes_go_and_their_titles_stay(written, shown):
    assert strip_site_markup(written, is_template=False) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("{% if page.wide %}Shown{% endif %} as {{ name }}.", "Shown as {{ name }}."),
        ("Write `{% if %}` or `` {{< ref >}} ``.", "Write `{% if %}` or `` {{< ref >}} ``."),
        ('{{< figure src="a.png"\n   caption="A\n chart" >}}', "A\n chart\n"),
        ('A {{< glossary_tooltip term_id="pod" text="Pod" >}} runs.', "A Pod runs."),
        ('See {{% glossary-term "content view" %}}, {{< ref "a/b.md" >}}.', "See content view, ."),
        ("{{< note >}}Mind it.{{< /note >}} {{</* note */>}}", "Mind it. {{</* note */>}}"),
        ("{% highlight ruby %}\n# no heading\n{% endhighlight %}", "```ruby\n# no heading\n```"),
        ("{{< highlight go >}}\n# no heading\n{{< /highlight >}}", "```go\n# no heading\n```"),
        ("{% highlight ruby %}\nopen", "\nopen"),
        (
            "<ul>\n{% for a in b %}\n  <li>{{ a }}</li>\n{% endfor %}\n</ul>",
            "<ul>\n<!-- -->\n  <li>{{ a }}</li>\n<!-- -->\n</ul>",
        ),
        ("{% comment %}\nhidden\n{% endcomment %}\nText.", "\n\n\nText."),
        ("```\n{% if %}\n```", "```\n{% if %}\n```"),
        ("Half {% of a tag\n\nand %} the rest", "Half {% of a tag\n\nand %} the rest"),
    ],
)
def test_tags_of_templates_go_and_what_they_show_stays(written, shown):
    assert strip_site_markup(written, is_template=True) == shown


def test_tags_are_read_inside_a_line_only_where_front_matter_says_that_a_site_is_made_of_it():
    line = "In Jinja, {% block %} begins a block.\n"
    assert read(line).text == line
    assert "{%" not in read(f"---\ntitle: Site\n---\n{line}").text
    assert read('{% hint style="info" %}\nText.\n{% endhint %}\n').text == "\nText.\n\n"


def test_the_words_that_a_page_of_jekyll_gives_to_an_included_note_are_read():
    text = """---
title: Pumps
---
{% include note.html content="Never pump *dry*, see [oil]({{ site.baseurl }}/oil)." %}

{% include tip.html
   content='Use
   SAE 30.' %}
"""
    lines = read(text).text.split("\n")
    assert lines[3] == "Never pump *dry*, see [oil]({{ site.baseurl }}/oil)."
    assert "\n".join(lines[5:8]).split() == ["Use", "SAE", "30."]
    assert len(lines) == len(text.split("\n"))


def test_a_passage_of_tags_only_is_not_made():
    text = read("---\ntitle: Site\n---\n\n{% include nav.html %}\n\n{{< toc >}}\n").text
    assert Splitter().split(Document(id="a", text=text, format="markdown")) == []


@pytest.mark.parametrize(
    "start", ["{%", "{{<", "{{< a", "{: .a", "{#a.b", "!!! a\n", "::: a", "`{%", '{{< a title="', "{a="]
)
def test_markup_that_does_not_end_is_read_in_time_that_grows_with_its_length(start):
    text = start * 40_000
    assert len(strip_site_markup(text, is_template=True)) <= len(text)


def test_markdown_that_uses_components_it_imports_is_mdx():
    source = "# Tabs\n\nimport Tab from '@theme/Tab'; import x from 'y';\n\n<Tab label=\"npm\">\n\nText.\n\n</Tab>\n"
    assert read(source).text == "# Tabs\n\n\n\n**npm** \n\nText.\n\n\n"
    plain = "import Tab from '@theme/Tab';\n\nText.\n"
    assert read(plain).text == plain


def test_components_in_code_stay():
    assert read_mdx(b"Use `<Text>` or ``<View a={b}>``.<View /> `{/* a */}`\n").text == (
        "Use `<Text>` or ``<View a={b}>``. `{/* a */}`\n"
    )


def test_titles_and_labels_of_components_are_read():
    source = '<Card title="Start" href="/a"\n  description="In five minutes">\nText.\n</Card>\n'
    assert read_mdx(source.encode()).text == "**Start In five minutes** \n\nText.\n\n"


def test_tags_in_a_line_are_markup_and_words_beside_them_stay_apart():
    row = "| A <dfn title='x > y'>term</dfn> | <ul><li>One</li><li>Two</li></ul> | <samp>x</samp><name> |\n"
    table = f"| a | b | c |\n| --- | --- | --- |\n{row}"
    line = read(table).text.split("\n")[2]
    assert " ".join(line.split()) == "| A term | One Two | x<name> |"


def test_a_page_with_front_matter_is_one_of_a_site_that_is_not_made_yet():
    page = "---\ntitle: Showcase\nlayout: page\n---\n<p>Powers {% for a in b %}<b>{{ a }}</b>{% endfor %} sites.</p>\n"
    made = read_html(page.encode())
    assert (made.title, made.text, made.metadata) == ("Showcase", "Powers **{{ a }}** sites.", {"layout": "page"})
    assert read_html(b"--- <p>Text.</p>").text == "---\n\nText."


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("@{note} A title\n:class: tip\nA **note**.\n@\nText.", "**A title**\n\nA **note**.\n\nText."),
        ("@{note}\n---\nclass: tip\n---\nA note.\n@", "**Note**\n\n\n\nA note.\n"),
        ("@{versionadded} 2.0\nThe option.\n@", "**Versionadded: 2.0**\nThe option.\n"),
        ("@{figure} a.png\n:alt: A chart\n\nCaption.\n@", "A chart\n\n\nCaption.\n"),
        ("@{prf:theorem} Of Euler\nTrue.\n@", "**Of Euler**\nTrue.\n"),
        ("- Item\n  @{tip}\n  Words.\n  @", "- Item\n  **Tip**\n  Words.\n"),
        ("@{toctree}\n:maxdepth: 2\nguide\n@", "\n\n\n"),
        ("@{code-block} python\n:linenos:\nx = 1\n@", "@python\n\nx = 1\n@"),
        ("@{r echo=FALSE}\nx <- 1\n@", "@{r echo=FALSE}\nx <- 1\n@"),
        ("@{.python #id}\nx = 1\n@", "@{.python #id}\nx = 1\n@"),
        ("@md\n@{note}\nSeen as code.\n@", "@md\n@{note}\nSeen as code.\n@"),
    ],
)
def test_directives_of_myst_are_prose_and_only_their_code_is_code(written, shown, fence):
    assert strip_site_markup(written.replace("@", fence), is_template=False) == shown.replace("@", fence)


def test_a_directive_in_another_one_is_read_and_words_in_both_stay_in_order():
    written = "````{admonition} Outer\n```{warning}\nInner.\n```\nRest.\n````\n\n# Below\n"
    assert read(written).text == "**Outer**\n**Warning**\nInner.\n\nRest.\n\n\n# Below\n"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("See {ref}`the guide <guide-target>` and {doc}`install`.", "See the guide and install."),
        ("(target)=\n# Heading", "\n# Heading"),
        ("Call {py:func}`~a.b` with `{name}` and `x`.", "Call a.b with `{name}` and `x`."),
        ("A ${name}`x` stays, and f(x)= too.", "A ${name}`x` stays, and f(x)= too."),
        ("Write {file}`.env`, {math}`-1` or {math}`x`.", "Write .env, -1 or x."),
        ("Use `code\n{of}` and `two`.", "Use `code\n{of}` and `two`."),
        ("Use `code\n{of}`, `two`.", "Use `code\n{of}`, `two`."),
    ],
)
def test_roles_and_targets_of_myst_are_read_as_they_are_shown(written, shown):
    assert strip_site_markup(written, is_template=False) == shown


def test_thousands_of_marks_of_code_without_an_end_take_linear_time():
    written = "`" * 20_000 + " {ref}`x` <b>" + " {{ x" * 20_000
    start = time.process_time()
    strip_tags(strip_site_markup(written, is_template=True))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("> @{note}\n> A **note**.\n> @\n\nText.", "> **Note**\n> A **note**.\n>\n\nText."),
        (">> @{tip} Two\n>> deep\n>> @", ">> **Two**\n>> deep\n>>"),
        ("> @\n> @{note}\n> code\n> @", "> @\n> @{note}\n> code\n> @"),
        ("@@\n> @{note}\n@@", "@@\n> @{note}\n@@"),
        ("> Text\n> more @{x}.", "> Text\n> more @{x}."),
    ],
)
def test_directives_in_block_quotes_are_read_as_others(written, shown):
    assert read(written.replace("@", "```")).text == shown.replace("@", "```")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Seen %%hidden words%% and seen.", "Seen  and seen."),
        ("One\n\n%% a line %%\n\nTwo", "One\n\n\n\nTwo"),
        ("One\n\n%%\nSeveral\n\nlines.\n%%\n\nTwo", "One\n\n\n\n\n\n\n\nTwo"),
        ("%% from here\nto here %%\nTwo", "\n\nTwo"),
        ("%% from here\n\nSeen %%", "%% from here\n\nSeen %%"),
        ("%%\nnever closed", "%%\nnever closed"),
        ("Write %% for a sign, and %% again, 100%% or 50%%.", "Write %% for a sign, and %% again, 100%% or 50%%."),
        ("for %%i in (a) do echo %%i", "for %%i in (a) do echo %%i"),
        ("`%%code%%`\n\n```\n%% code %%\n%%\n```\n%%", "`%%code%%`\n\n```\n%% code %%\n%%\n```\n%%"),
    ],
)
def test_comments_of_obsidian_are_no_text_and_signs_of_per_cent_are(written, shown):
    assert read(written).text == shown


@pytest.mark.parametrize(
    "mark", ["%%a ", "%%\n", "%% a\n", "%%a\n\n", "a\n> b\n", "> ```{note}\n", ">" * 50 + "```{x}\n"]
)
def test_comments_and_quotes_without_an_end_take_linear_time(mark):
    start = time.process_time()
    read(mark * (200_000 // len(mark)))
    assert time.process_time() - start < 10
