"""Experiments: a run from names to numbers, comparisons, baselines, removals, benchmarks."""

from jemlib.experiments.baselines import (
    baselines,
    train_supervised,
)
from jemlib.experiments.comparison import (
    COLUMNS,
    compare,
    markdown_table,
    summary,
)
from jemlib.experiments.runs import (
    Run,
    embeddings,
    hardware,
    load_scored,
    measure,
    read_run,
    restore,
    run,
    scale_of,
    score,
    settings_at,
    versions,
)

__all__ = [
    "COLUMNS",
    "Run",
    "baselines",
    "compare",
    "embeddings",
    "hardware",
    "load_scored",
    "markdown_table",
    "measure",
    "read_run",
    "restore",
    "run",
    "scale_of",
    "score",
    "settings_at",
    "summary",
    "train_supervised",
    "versions",
]
