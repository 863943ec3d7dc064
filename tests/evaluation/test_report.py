"""The report is one page that loads nothing, shows every number, and draws what was measured."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from gemvec.evaluation.measurement import Measurement
from gemvec.evaluation.report import display, render_report


def pairs(dimensionality, spearman, **changes):
    fields = {"dataset": "STS13", "model": "m", "weights": "m@00000001", "precision": "fast", "search": "cosine"}
    return Measurement(**{**fields, **changes}, dimensionality=dimensionality, scores={"spearman": spearman})


def retrieval(dimensionality, ndcg, exact, **changes):
    fields = {"dataset": "docs", "model": "m", "weights": "m@00000001", "precision": "", "search": "dense"}
    scores, exact = ({"ndcg@10": value, "mrr@10": value / 2, "recall@10": value / 3} for value in (ndcg, exact))
    return Measurement(
        **{**fields, **changes}, dimensionality=dimensionality, scores=scores, exact=exact, index_recall=0.9876
    )


MEASUREMENTS = [
    pairs(384, 0.80604),
    pairs(128, 0.7945),
    pairs(384, -0.5, model="<worse> & co"),
    retrieval(384, 0.9, 0.91),
    retrieval(128, 0.8, 0.82),
    retrieval(384, 0.95, 0.95, search="hybrid"),
]


def translations(dimensionality, accuracy, **changes):
    fields = {"dataset": "tatoeba", "model": "m", "weights": "m@00000001", "precision": "fast", "search": "cosine"}
    scores = {"accuracy": accuracy, "reverse_accuracy": accuracy - 0.0123}
    return Measurement(**{**fields, **changes}, dimensionality=dimensionality, scores=scores)


def drawings(page):
    return [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]


def test_every_score_is_in_the_tables():
    page = render_report(MEASUREMENTS)
    for text in ("80.60", "79.45", "-50.00", "0.9000", "0.9100", "0.4500", "0.9876", "m · hybrid"):
        assert f">{text}</td>" in page


def test_translations_have_their_accuracy_in_both_directions():
    page = render_report([translations(384, 0.98), translations(64, 0.9)])
    for text in ("98.00", "96.77", "90.00", "88.77"):
        assert f">{text}</td>" in page
    for text in (
        "Translations found, x 100",
        "to which their own translation is the nearest",
        ">reverse accuracy</th>",
    ):
        assert text in page


def test_exact_search_alone_says_that_milvus_was_not_asked():
    found = Measurement(
        dataset="docs",
        model="m",
        weights="m@1",
        precision="",
        search="exact",
        dimensionality=8,
        scores={"ndcg@10": 0.5},
    )
    page = render_report([found])
    assert "without Milvus" in page
    assert "index recall" not in page


def test_the_best_score_of_a_set_stands_out():
    page = render_report(MEASUREMENTS)
    assert re.findall(r'class="best">([^<]+)<', page) == ["80.60", "0.9500", "0.4750", "0.3167"]


def test_the_page_loads_nothing_and_closes_what_it_opens():
    page = render_report(MEASUREMENTS)
    assert not re.search(r"https?:|<script|<link|<img|url\(", page)

    opened = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "br"}:
                opened.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balance().feed(page)
    assert opened == []


def test_names_are_escaped():
    page = render_report(MEASUREMENTS, subtitle="<b>")
    assert "&lt;worse&gt; &amp; co" in page
    assert "<worse>" not in page
    assert "<b>" not in page


def test_several_dimensionalities_are_lines_with_exact_search_dashed_beside():
    sts, docs = drawings(render_report(MEASUREMENTS))
    assert len(sts.findall("polyline")) == 2
    assert [each.get("class") for each in docs.findall("polyline")] == ["line", "line", "line dashed", "line dashed"]
    titles = [each.text for each in docs.iter("title")]
    assert "m · dense, 128 dimensions: 0.8000" in titles
    assert "m · dense, exact, 128 dimensions: 0.8200" in titles


def test_one_dimensionality_is_bars_in_proportion():
    (drawing,) = drawings(render_report([pairs(384, 0.8), pairs(384, 0.4, model="n"), pairs(384, -0.1, model="o")]))
    widths = [float(each.get("width")) for each in drawing.findall("rect")]
    assert widths == pytest.approx([widths[0], widths[0] / 2, 0], abs=0.1)


def test_points_lie_inside_the_drawing_whatever_the_values():
    for values in ([0.5, 0.5], [0.0, 1.0], [-0.9, 0.9], [0.80600, 0.80601]):
        (drawing,) = drawings(render_report([pairs(2**place, value) for place, value in enumerate(values)]))
        _, _, width, height = map(float, drawing.get("viewBox").split())
        for point in drawing.findall("circle"):
            assert 0 < float(point.get("cx")) < width
            assert 0 < float(point.get("cy")) < height


def test_spearman_is_shown_times_100_and_the_others_as_they_are():
    assert display("spearman", 0.80604) == "80.60"
    assert display("ndcg@10", 0.43512) == "0.4351"
    assert display("index recall", None) == ""
