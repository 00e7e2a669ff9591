"""The rows without which a result cannot be read: raw pixels, an untrained backbone, training with labels."""

from __future__ import annotations

import time
from typing import Any

from jemlib.data import Images
from jemlib.evaluate import Evaluation, evaluate, evaluate_features
from jemlib.methods import build
from jemlib.scales import Scale, current_scale
from jemlib.train import default_device, fit
from jemlib.views import normalize


def baselines(
    train: Images, test: Images, *, scale: str | Scale | None = None, seed: int = 0, supervised: bool = True
) -> dict[str, dict[str, Any]]:
    """The rows without which a result cannot be read: raw pixels, the untrained backbone, supervised training.

    Args:
        train, test: images of one data set.
        scale: which backbone, and how long the supervised run is.
        seed: of the weights and the supervised run.
        supervised: whether to train the supervised row too; it costs a training run.

    Returns:
        `{"raw pixels": {...}, "untrained": {...}, "supervised": {...}}`, each with knn, linear, seconds.
    """
    scale = scale if isinstance(scale, Scale) else current_scale(scale)
    labelled = build("supervised", scale=scale, seed=seed, classes=len(train.class_names)).to(default_device())
    rows: dict[str, dict[str, Any]] = {}

    def add(name: str, started: float, evaluation: Evaluation) -> None:
        seconds = round(time.perf_counter() - started, 1)
        rows[name] = {"knn": evaluation.knn, "linear": evaluation.linear, "seconds": seconds}

    started = time.perf_counter()
    raw = evaluate_features(normalize(train.pixels).flatten(1), normalize(test.pixels).flatten(1), train, test)
    add("raw pixels", started, raw)
    started = time.perf_counter()
    add("untrained", started, evaluate(labelled.backbone, train, test))
    if supervised:
        started = time.perf_counter()
        fit(labelled, train, scale=scale, seed=seed)
        add("supervised", started, evaluate(labelled.backbone, train, test))
    return rows
