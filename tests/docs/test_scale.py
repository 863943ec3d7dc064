"""The page of scale is what its model says, and the model is no further from measured runs than it says."""

import json
import re
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import scale
import scale_limits
from scale_chart import Axis, Line, draw
from scale_checks import list_checks
from scale_figures import ASSUMED, BENCHMARK_WORDS, CODE, MEASURED, PUBLISHED, figures, models
from scale_model import Workload

from gemvec.batches import store
from gemvec.storage import threads
from gemvec.storage.database import open_database
from pages import ROOT

SVG = "{http://www.w3.org/2000/svg}"


def load(**values):
    return Workload(**{"passages": 10**6, "tokens": 128, "model": models()["all-minilm-l6-v2"], **values})


@pytest.fixture
def run(monkeypatch, capsys):
    """Return what runs the tool with options, and returns what it has printed."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["scale.py", *options])
        assert scale.main() == 0
        return capsys.readouterr().out

    return run


def test_the_page_and_its_chart_are_fresh():
    loads = scale.default_loads()
    assert scale.PAGE.read_text() == scale.fill(scale.PAGE.read_text(), scale.sections(loads)), (
        "run tools/scale.py --page"
    )
    assert scale.CHART.read_text() == scale.chart(loads[0])


def test_every_generated_part_is_on_the_page():
    marks = re.findall(r"<!-- tools/scale\.py: (\w+) -->", scale.PAGE.read_text())
    assert sorted(marks) == sorted(scale.sections(scale.default_loads()))


def test_no_prediction_is_far_from_a_measured_run():
    off = {(each.what, each.unit): each.deviation for each in list_checks()}
    assert {run: share for run, share in off.items() if not -0.35 < share < 0.65} == {}
    for runs in ("one Ray node", "two Ray nodes", "engine alone", "batch of 1,000,000"):
        assert any(runs in what for what, _ in off), runs


def test_every_figure_says_where_it_comes_from():
    of_gpus = [each for model in models().values() for each in (model.gpu, model.gpu_hour) if each]
    for each in (*figures().values(), *of_gpus):
        assert each.value > 0, each
        assert each.source, each
        if each.kind == MEASURED:
            files = re.findall(r"\(\.\./(benchmarks/results/\w+\.json)\)", each.source)
            assert files, each
            assert all((ROOT / path).is_file() for path in files), each
        else:
            assert each.kind in {PUBLISHED, ASSUMED, CODE}, each
        assert each.kind != PUBLISHED or "https://" in each.source or each.source.startswith("the same"), each
    assert {each.kind for each in of_gpus} == {PUBLISHED}


def test_the_texts_of_the_benchmarks_have_as_many_words_as_is_said(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from batches import texts

    words = [len(text.split()) for text in texts(20_000)]
    assert sum(words) / len(words) == pytest.approx(BENCHMARK_WORDS, rel=0.01)


@pytest.mark.parametrize("name", ["core_hours", "cpu_dollars", "google_dollars", "result_bytes", "gpu_hours"])
def test_costs_grow_with_the_passages(name):
    assert getattr(load(passages=10**9), name) == pytest.approx(1000 * getattr(load(), name))


def test_as_many_machines_are_taken_as_finish_in_time_and_no_more():
    for passages in scale.SIZES:
        each = load(passages=passages, hours=10)
        assert each.wall_hours <= 10
        assert each.machines == 1 or each.core_hours / each.cores / (each.machines - 1) > 10


def test_long_lines_make_chunks_and_batches_smaller():
    short, long = load(tokens=128), load(tokens=8000)
    assert short.passages / short.chunks == pytest.approx(256, rel=0.01)
    assert long.passages / long.chunks < 40
    assert long.batches > short.batches


def test_prices_are_options_and_everything_is_json_for_programs(run):
    found = json.loads(run("--passages", "2M", "--passages", "1B", "--core-hour", "0.5", "--tokens", "64", "--json"))
    assert [each["passages"] for each in found["estimates"]] == [2_000_000, 1_000_000_000]
    assert found["estimates"][0]["cpu_dollars"] == pytest.approx(found["estimates"][0]["core_hours"] * 0.5)
    assert (found["figures"]["core_hour"]["kind"], found["figures"]["core_hour"]["value"]) == ("given", 0.5)
    assert {each["what"] for each in found["checks"]} == {each.what for each in list_checks()}
    assert found["limits"]


@pytest.mark.parametrize("model", models())
def test_every_model_can_be_asked_for(run, model):
    (found,) = json.loads(run("--passages", "10B", "--model", model, "--json"))["estimates"]
    assert ("cpu_dollars" in found, "gpu_dollars" in found) == (bool(models()[model].cpu), bool(models()[model].gpu))
    assert found["google_dollars"] > 0


def test_estimates_for_people_are_the_tables_of_the_page(run):
    assert scale.compute_table(scale.default_loads()) in run()


def test_help_has_examples_and_every_price(run, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    text = capsys.readouterr().out
    assert "python tools/scale.py --passages 100M" in text
    assert all(f"--{name.replace('_', '-')} " in text for name in scale.PRICES)


@pytest.mark.parametrize(
    "options",
    [
        ["--passages", "0"],
        ["--passages", "many"],
        ["--passages", "nan"],
        ["--passages", ""],
        ["--tokens", "-1"],
        ["--cores", "0"],
        ["--model", "x"],
    ],
)
def test_what_cannot_be_estimated_is_refused(run, capsys, options):
    with pytest.raises(SystemExit) as refused:
        run(*options)
    assert refused.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_the_limits_are_those_of_the_code(sqlite):
    assert scale_limits.EXPECTED_VALUE_BYTES == store._VALUE_BYTES
    pools = (threads._database, threads._files, threads._keys)
    assert sum(pool._max_workers for pool in pools) == scale_limits.BUSY_CONNECTIONS
    assert sqlite._readers.pool.size() == scale_limits.KEPT_CONNECTIONS


@pytest.fixture
def sqlite(tmp_path):
    database = open_database(tmp_path / "gemvec.sqlite3")
    yield database
    database.close()


def test_a_limit_is_named_with_its_number_and_what_to_do():
    limits = scale_limits.list_limits(load(passages=10**10))
    assert all(each.number > 0 and each.then for each in limits)
    by_passages = [each.number for each in limits if each.unit == "passages"]
    assert by_passages == sorted(by_passages)
    more = scale_limits.list_limits(replace(load(passages=10**10), cores=32))
    assert {each.what for each in limits} - {each.what for each in more} == {
        "what one machine of 16 cores finishes before a batch expires"
    }


def test_the_chart_can_be_read_without_eyes_and_without_its_colours():
    chart = ET.fromstring(scale.CHART.read_text())
    assert chart.get("role") == "img"
    named = [chart.find(f"{SVG}{tag}[@id='{tag_id}']") for tag, tag_id in (("title", "title"), ("desc", "description"))]
    assert all(len(each.text) > 20 for each in named)
    lines = chart.findall(f"{SVG}path[@stroke-dasharray]")
    assert len({line.get("stroke-dasharray") for line in lines}) == len(lines) == 5
    labels = [float(each.get("y")) for each in chart.findall(f"{SVG}text") if float(each.get("x")) > 610]
    assert len(labels) == 5
    assert all(abs(one - other) >= 16 for one in labels for other in labels if one is not other)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_chart_stands_out_on_light_and_on_dark_pages():
    style = ET.fromstring(scale.CHART.read_text()).find(f"{SVG}style").text
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    for scheme in (light, dark):
        page = luminance(re.search(r"\.page \{ fill: (#\w{6})", scheme)[1])
        colours = re.findall(r"(?:stroke|text \{ fill): (#\w{6})", scheme)
        assert len(colours) >= 7
        for colour in colours:
            high, low = sorted((luminance(colour), page), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_labels_of_lines_that_end_together_do_not_lie_over_each_other():
    axis = Axis(title="x", ticks=[(1, "1"), (10, "10")])
    svg = draw("title", "description", axis, axis, [Line(label=f"<{n}>", points=[(1, 1), (10, 5)]) for n in range(5)])
    ends = [float(each) for each in re.findall(r'y="([\d.]+)">&lt;', svg)]
    assert all(abs(one - other) > 10 for one in ends for other in ends if one != other)
    assert len(set(ends)) == 5
