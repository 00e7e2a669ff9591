"""Experiments: a run from names to numbers, comparisons, baselines, removals, benchmarks."""

from jemlib.experiments.baselines import baselines
from jemlib.experiments.comparison import compare, markdown_table
from jemlib.experiments.own import board, diagnose_loss
from jemlib.experiments.runs import hardware, run, versions
