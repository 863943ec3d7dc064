"""Measures models, precisions, dimensionalities and kinds of search on data with known answers.

    from gemvec.evaluation import EvaluationOptions, evaluate, load_datasets

    measurements = await evaluate(embedder, load_datasets([Path("my-data")]), options=EvaluationOptions())

`gemvec eval` is this room on the command line.
"""

from __future__ import annotations

from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.measurement import EvaluationOptions, Measurement, evaluate
from gemvec.evaluation.report import render_report

__all__ = ["EvaluationOptions", "Measurement", "evaluate", "load_datasets", "render_report"]
