"""Data, references and traces for the tests of the wiring: which images, labels, weights and settings go where.

The scores of a toy set tell which split was fitted and which was scored: colours that any network separates, and a
test split in which three quarters of the labels are moved on by one class.

    fitted on    scored on    accuracy
    train        test         0.25
    train        train        1
    test         test         0.75
    test         train        0
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from jemlib.data import Images

COLOURS = {"black": (20, 20, 20), "blue": (40, 40, 230), "green": (40, 200, 40), "red": (230, 40, 40)}
TURNED = 0.25  # the score of a probe that was fitted on train and is scored on test

# Mean and standard deviation of CIFAR-10's training pixels, red, green, blue, as the literature rounds them.
MEAN = np.array([0.4914, 0.4822, 0.4465])
STD = np.array([0.2470, 0.2435, 0.2616])


# --- data


def shade(label: int, rng: np.random.Generator) -> np.ndarray:
    """An image `(32, 32, 3)` uint8 of one colour, with a little noise."""
    colour = np.array(tuple(COLOURS.values())[label])
    return np.clip(colour + rng.integers(-10, 11, (32, 32, 3)), 0, 255).astype(np.uint8)


def turned(label: int, number: int) -> int:
    """The label that image `number` of the test split gets: three of four are moved on by one class."""
    return label if number % 4 == 0 else (label + 1) % len(COLOURS)


def shade_images(per_class: int, split: str, seed: int = 0) -> Images:
    """Shades in memory, one class after the other; those of the split "test" have turned labels."""
    rng = np.random.default_rng((seed, len(split)))
    classes = np.repeat(np.arange(len(COLOURS)), per_class)
    pixels = np.stack([shade(int(label), rng) for label in classes]).transpose(0, 3, 1, 2).copy()
    labels = [turned(int(c), i) if split == "test" else int(c) for i, c in enumerate(classes)]
    return Images(torch.from_numpy(pixels), torch.tensor(labels), tuple(COLOURS), name="shades", split=split)


def write_shades(root: Path, train: int = 60, test: int = 16) -> Path:
    """The same as a folder of images for `folder:PATH`; a tenth of train is its validation split."""
    rng = np.random.default_rng(0)
    names = list(COLOURS)
    for part, count in (("train", train), ("test", test)):
        for name in names:
            (root / part / name).mkdir(parents=True)
        for label in range(len(names)):
            for i in range(count):
                of_class = turned(label, i) if part == "test" else label
                path = root / part / names[of_class] / f"{names[label]}-{i:03d}.png"
                Image.fromarray(shade(label, rng)).save(path)
    return root


# --- references, from the formulas


def normalized_by_hand(pixels: Tensor) -> np.ndarray:
    """uint8 `(N, 3, 32, 32)` -> the float64 values that a network sees."""
    return (pixels.double().numpy() / 255 - MEAN[:, None, None]) / STD[:, None, None]


def features_by_hand(network: torch.nn.Module, images: Images) -> np.ndarray:
    """Outputs for un-augmented images, a few at a time, in evaluation mode; the mode is put back."""
    mode = network.training
    network.eval()
    x = torch.from_numpy(normalized_by_hand(images.pixels)).float()
    with torch.no_grad():
        parts = [network(part).double().numpy() for part in x.split(7)]
    network.train(mode)
    return np.concatenate(parts)


def knn_by_hand(bank: np.ndarray, labels: Tensor, queries: np.ndarray, truth: Tensor, k: int, t: float) -> float:
    """Accuracy of the weighted nearest neighbours, a vote at a time."""
    bank, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
    right = 0
    for query, label in zip(queries, truth.tolist()):
        similarity = bank @ query
        votes: dict[int, float] = {}
        for i in np.argsort(-similarity)[:k]:
            votes[int(labels[i])] = votes.get(int(labels[i]), 0.0) + math.exp(similarity[i] / t)
        right += max(votes, key=lambda c: votes[c]) == label
    return right / len(truth)


def probe_by_hand(bank: np.ndarray, labels: Tensor, queries: np.ndarray, truth: Tensor) -> float:
    """Accuracy of logistic regression on features standardised by the bank's mean and deviation."""
    mean, deviation = bank.mean(axis=0), bank.std(axis=0)
    deviation[deviation == 0] = 1
    fitted = LogisticRegression(C=1.0, max_iter=200).fit((bank - mean) / deviation, labels.numpy())
    return float((fitted.predict((queries - mean) / deviation) == truth.numpy()).mean())


# --- traces


Start = tuple[str, ...]  # a digest of each weight


@contextmanager
def recorded_starts() -> Iterator[list[Start]]:
    """The weights that each training run began with, in the order of the runs; whoever trains them."""
    starts: list[Start] = []
    known: list[torch.optim.Optimizer] = []

    def at_first_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
        if not any(optimizer is other for other in known):
            known.append(optimizer)  # kept, so that no later one gets its address
            parameters = [p.detach().cpu() for group in optimizer.param_groups for p in group["params"]]
            # A parameter that starts as a constant, as biases and norms do, says nothing.
            drawn = [p.contiguous().numpy().tobytes() for p in parameters if p.min() < p.max()]
            starts.append(tuple(hashlib.sha256(weight).hexdigest()[:12] for weight in drawn))

    handle = register_optimizer_step_pre_hook(at_first_step)
    try:
        yield starts
    finally:
        handle.remove()


def apart(*starts: Start) -> bool:
    """Whether no two of the runs began with a weight in common."""
    return len({weight for start in starts for weight in start}) == sum(map(len, starts)) > 0
