"""How far the model of scale is from runs that were measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scale_figures import BENCHMARK_TOKENS, BENCHMARK_WORDS, figures, link, middle, models, result
from scale_model import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One run, as it was predicted and as it was measured.

    Attributes:
        what: the run.
        unit: of both numbers.
        predicted: by the model.
        measured: by the run.
        source: where the run's result is; Markdown.
    """

    what: str
    unit: str
    predicted: float
    measured: float
    source: str

    @property
    def deviation(self) -> float:
        """How much more than measured was predicted, as a share; negative for less."""
        return self.predicted / self.measured - 1


CPU, WALL = "CPU seconds", "seconds"
# Where the machine's load was higher, other programs took the cores, and the clock says nothing.
QUIET_LOAD = 4


def list_checks() -> list[Check]:
    """Return what the model says of each run, beside the run's result."""
    return [check for write in (_engines, _batches, _one_node, _two_nodes) for check in write()]


def _checker(source: str) -> Callable[[str, str, float, float], Check]:
    def check(what: str, unit: str, predicted: float, measured: float) -> Check:
        return Check(what=what, unit=unit, predicted=predicted, measured=measured, source=link(source))

    return check


def _wall(load: Workload, cores: int = 2) -> float:
    return load.core_hours * 3600 / cores


def _engines() -> list[Check]:
    engine, bulk = result("engine"), result("http_bulk")
    alone = Workload(passages=engine["texts"], tokens=engine["mean_tokens"], model=models()["all-minilm-l6-v2"])
    in_calls = Workload(passages=bulk["texts"], tokens=bulk["mean_tokens"], model=alone.model)
    seconds = bulk["texts"] / bulk["median"]["engine_texts_per_second"]
    predicted = in_calls.engine_cpu_seconds / figures()["cores"].value / 2
    rounds = engine["figures"]["gemvec fast"]
    return [
        _checker("engine")(
            f"engine alone, {engine['texts']:,} texts of {engine['mean_tokens']:.0f} tokens",
            CPU,
            alone.engine_cpu_seconds,
            engine["texts"] / middle(rounds, "texts_per_cpu_second"),
        ),
        _checker("http_bulk")(
            f"engine alone, {bulk['texts']:,} texts of {bulk['mean_tokens']:.0f} tokens", WALL, predicted, seconds
        ),
    ]


def _batches() -> list[Check]:
    found = result("batches")
    load = Workload(
        passages=found["texts"], tokens=BENCHMARK_WORDS, model=models()["wordllama-256"], on_ray=False
    )  # its CPU seconds are what the model was made from
    seconds = middle(found["figures"]["batch"], "wall")
    return [_checker("batches")(f"batch of {found['texts']:,} texts, static model", WALL, _wall(load), seconds)]


def _one_node() -> list[Check]:
    found, check = result("ray_batches")["one_node"], _checker("ray_batches")
    texts, model = found["texts"], models()["all-minilm-l6-v2"]
    measured = {(case, name): middle(runs, name) for case, runs in found["figures"].items() for name in ("cpu", "wall")}
    here = Workload(passages=texts, tokens=BENCHMARK_TOKENS, model=model, on_ray=False)
    on_ray = Workload(passages=texts, tokens=BENCHMARK_TOKENS, model=model)
    size = f"{texts:,} texts of {BENCHMARK_TOKENS} tokens"
    return [
        check(f"engine alone, {size}", CPU, here.engine_cpu_seconds, measured["engine", "cpu"]),
        check(f"batch of {size}", CPU, here.cpu_seconds, measured["batch", "cpu"]),
        check("the same on one Ray node of two cores", CPU, on_ray.cpu_seconds, measured["ray", "cpu"]),
        *(
            [check("the same on one Ray node of two cores", WALL, _wall(on_ray), measured["ray", "wall"])]
            if max(each["load_before"] for each in found["figures"]["ray"]) < QUIET_LOAD
            else []
        ),
    ]


def _two_nodes() -> list[Check]:
    found, check = result("ray_batches")["two_nodes"], _checker("ray_batches")
    model = models()["wordllama-256"]
    here = Workload(passages=found["texts"], tokens=BENCHMARK_WORDS, model=model, on_ray=False)
    on_ray = Workload(passages=found["texts"], tokens=BENCHMARK_WORDS, model=model)
    size = f"batch of {found['texts']:,} texts, static model"
    return [
        check(size, CPU, here.cpu_seconds, found["on_one_machine"]["cpu"]),
        check(f"{size}, on two Ray nodes, one of them killed", CPU, on_ray.cpu_seconds, found["on_two_nodes"]["cpu"]),
    ]
