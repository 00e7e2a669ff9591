"""One run from names to numbers: load, build, fit, evaluate, write the run folder."""

from __future__ import annotations

import dataclasses
import json
import pickle
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import jemlib
from jemlib import validate
from jemlib.data import Images, load
from jemlib.diagnose import normalized_std, rankme
from jemlib.evaluate import embeddings, evaluate
from jemlib.files import write_json, write_torch
from jemlib.methods import Method, build, check_loss, known_settings, settings_for
from jemlib.scales import Scale, adjusted_scale
from jemlib.train import History, fit


@dataclass
class Run:
    """A finished run: the trained method, its history, and its metrics (what `metrics.json` holds)."""

    method: Method
    history: History
    metrics: dict[str, Any]


def versions() -> dict[str, str]:
    """What a number depends on besides its settings."""
    packages = {name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")}
    return {"jemlib": jemlib.__version__, "python": platform.python_version(), **packages}


def hardware() -> dict[str, Any]:
    """Device name and thread count, for the record of a run."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {"device": name, "threads": torch.get_num_threads()}


def run(
    name: str,
    *,
    data: str | None = None,
    root: str | None = None,
    scale: str | Scale | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    split: str = "test",
    settings: dict[str, Any] | None = None,
    loss: Callable[..., Any] | None = None,
    **overrides: Any,
) -> Run:
    """Train one method and measure it.

    Args:
        name: a method, see `jemlib.methods.METHODS`.
        data: "motifs", "cifar10" or "folder:PATH"; None: the scale's own.
        root: where downloaded data lies, see `jemlib.data.load`.
        scale: "smoke", "cpu", "gpu" or a `Scale`; None: see `jemlib.train.current_scale`.
        seed: of the weights, the order of the images and the views.
        out: run folder; None writes nothing. A run that was stopped goes on; a complete one is read, not repeated.
        split: "validation" while you choose settings; "test" for the number you report.
        settings: of the method, such as `{"lambd": 0.01}`.
        loss: train with this function in the frame of the method, see `jemlib.methods.build`.
        overrides: numbers of the scale, such as `steps=200`.

    Raises:
        TypeError: the loss cannot be called in the frame.
        ValueError: an unknown name or setting, or `out` holds another run.
    """
    scale = adjusted_scale(scale, **overrides)
    validate.choice("split", split, ("validation", "test"))
    settings_for(name, scale, **(settings or {}))  # before anything is loaded
    if loss is not None:
        check_loss(name, loss, settings or {})
    source = data or scale.data
    train = load(source, "train", root=root, limit=scale.limit)
    classes = {"classes": len(train.class_names)} if "classes" in known_settings(name) else {}
    method = build(name, scale=scale, seed=seed, loss=loss, **(classes | (settings or {})))
    history = fit(method, train, scale=scale, seed=seed, out=out)
    if history.interrupted:
        return Run(method, history, {})
    metrics = metrics_of(method, train, load_scored(source, split, root, scale), history, scale, seed)
    if out is not None:
        folder = Path(out)
        write_torch(folder / "weights.pt", method.state_dict())
        write_json(folder / "metrics.json", metrics)
    return Run(method, history, metrics)


def load_scored(source: str, split: str, root: str | None, scale: Scale) -> Images:
    """The images that are scored. At smoke scale fewer, so that a test takes seconds."""
    return load(source, split, root=root, limit=scale.limit if scale.name == "smoke" else None)


def score(method: Method, train: Images, test: Images) -> dict[str, Any]:
    """kNN, linear probe and protocol of the features; collapse diagnostics of the embeddings of `test`."""
    evaluation = evaluate(method.backbone, train, test)
    z = embeddings(method, test)
    return {
        "split": test.split,
        "knn": evaluation.knn,
        "linear": evaluation.linear,
        "protocol": evaluation.protocol,
        "normalized_std": float(normalized_std(z)),
        "rankme": float(rankme(z)),
        "dimensions": z.shape[1],
    }


def metrics_of(
    method: Method, train: Images, test: Images, history: History, scale: Scale, seed: int
) -> dict[str, Any]:
    """What `metrics.json` holds."""
    last = history.rows[-1]
    return {
        "method": method.name,
        "data": train.name,
        "scale": scale.name,
        "seed": seed,
        "backbone": method.settings["backbone"],
        "settings": method.settings,
        "recipe": dataclasses.asdict(scale),
        **score(method, train, test),
        "train_images": len(train),
        "train_seconds": last["seconds"],
        "images_seen": int(last["images_seen"]),
        "steps": int(last["step"]),
        "loss": {term: last[term] for term in history.terms},
        "versions": versions(),
        **hardware(),
    }


def title(metrics: dict[str, Any]) -> str:
    """What a run trained: the method, or one's own function, its file and hash, and the method whose frame it had."""
    loss = metrics["settings"].get("loss")
    if loss is None:
        return str(metrics["method"])
    # A function that came from no file is known by its name alone.
    mine = loss if isinstance(loss, str) else f"{loss['function']} ({loss['file']}, sha256 {loss['sha256'][:8]})"
    return f"{mine} in the frame of {metrics['method']}"


def scale_of(metrics: dict[str, Any]) -> Scale:
    """The scale that a run was made with."""
    recipe = dict(metrics["recipe"])
    return Scale(**{**recipe, "widths": tuple(recipe["widths"])})


def read_run(folder: str | Path) -> dict[str, Any]:
    """The metrics of a complete run folder.

    Raises:
        ValueError: the folder holds no complete run; the message says what to do.
    """
    path = Path(folder) / "metrics.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no complete run (no metrics.json). Run `jem train METHOD --out {folder}`.")
    try:
        return dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}. Delete it and run `jem train` again.") from error


def restore(folder: str | Path) -> tuple[Method, dict[str, Any]]:
    """The trained method of a complete run folder, and its metrics.

    A loss of one's own does not come back: to score weights nobody needs it. The metrics say whose it was.

    Raises:
        ValueError: the folder holds no complete run, or its weights cannot be read.
    """
    metrics = read_run(folder)
    settings = {name: value for name, value in metrics["settings"].items() if name != "loss"}
    method = build(metrics["method"], seed=metrics["seed"], **settings)
    path = Path(folder) / "weights.pt"
    try:
        method.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}). Run `jem train` again.") from error
    return method.eval(), metrics
