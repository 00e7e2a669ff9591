"""The rows without which a result cannot be read: raw pixels, an untrained backbone, training with labels."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jemlib.data import Images
from jemlib.evaluate import Evaluation, evaluate, evaluate_features
from jemlib.nets import Backbone, build_backbone
from jemlib.scales import Scale, current_scale
from jemlib.train import batches, build_optimizer, default_device, learning_rate, native_bf16, random_state
from jemlib.views import make_views, normalize


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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build_backbone(scale.backbone).to(default_device())
    rows: dict[str, dict[str, Any]] = {}

    def add(name: str, started: float, evaluation: Evaluation) -> None:
        seconds = round(time.perf_counter() - started, 1)
        rows[name] = {"knn": evaluation.knn, "linear": evaluation.linear, "seconds": seconds}

    started = time.perf_counter()
    raw = evaluate_features(normalize(train.pixels).flatten(1), normalize(test.pixels).flatten(1), train, test)
    add("raw pixels", started, raw)
    started = time.perf_counter()
    add("untrained", started, evaluate(backbone, train, test))
    if supervised:
        started = time.perf_counter()
        train_supervised(backbone, train, scale, seed)
        add("supervised", started, evaluate(backbone, train, test))
    return rows


def train_supervised(backbone: Backbone, images: Images, scale: Scale, seed: int) -> nn.Linear:
    """Train a backbone and a linear classifier with labels, on one SimCLR view an image: the upper row.

    Returns:
        The classifier; the backbone is trained in place.
    """
    device = next(backbone.parameters()).device
    classifier = nn.Linear(backbone.dim, len(images.class_names)).to(device)
    model = nn.Sequential(backbone, classifier).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(scale.optimizer, model, scale.learning_rate, scale.weight_decay)
    generator = torch.Generator(device)
    pixels, labels = images.pixels.to(device), images.labels.to(device)
    steps = scale.total_steps(len(images))
    for step, index in batches(len(images), scale.batch_size, seed, 0, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, scale.warmup, scale.learning_rate)
        generator.manual_seed(random_state(seed, step))
        index = index.to(device)
        views = make_views(pixels[index], "simclr", num_views=1, generator=generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device)):
            logits = model(views[0])
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels[index]).backward()
        optimizer.step()
    return classifier
