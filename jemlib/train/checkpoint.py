"""The run folder's checkpoint: written beside and renamed, refused when it belongs to another run."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import torch

from jemlib.files import write_json, write_torch
from jemlib.methods import Method
from jemlib.train.history import History


class Checkpoint:
    """The last checkpoint of a run folder: `checkpoint.pt`, written beside and renamed."""

    def __init__(self, out: str | Path | None, settings: dict[str, Any], every_seconds: float) -> None:
        self.folder = Path(out) if out is not None else None
        self.settings = settings
        self.every_seconds = every_seconds
        self.last = time.perf_counter()

    def restore(
        self, method: Method, optimizer: torch.optim.Optimizer, history: History, device: torch.device
    ) -> tuple[int, float]:
        """Load the checkpoint, if there is one: `(steps done, seconds spent)`."""
        if self.folder is None:
            return 0, 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        self.check_settings()
        path = self.folder / "checkpoint.pt"
        for left in self.folder.glob(f"{path.name}.*.partial"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        if not path.exists():
            return 0, 0.0
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            method.load_state_dict(state["method"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, KeyError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{path} cannot be read ({type(error).__name__}). Delete it to start this run again, or choose "
                "another folder."
            ) from error
        history.rows[:] = state["history"]
        return int(state["done"]), float(state["seconds"])

    def check_settings(self) -> None:
        """Refuse to mix two runs in one folder; name what differs."""
        if self.folder is None:
            return
        path = self.folder / "settings.json"
        if path.exists():
            try:
                before = json.loads(path.read_text())
            except json.JSONDecodeError as error:
                raise ValueError(f"{path} is not valid JSON. Delete the folder or choose another.") from error
            changed = differences(before, self.settings)
            if changed:
                what = "; ".join(changed)
                raise ValueError(
                    f"{self.folder} holds a run with other settings: {what}.{advice(before, self.settings)}"
                )

    def begin(self) -> None:
        """Note down whose folder it is. A run whose first step fails leaves no settings that would refuse the next."""
        if self.folder is not None:
            write_json(self.folder / "settings.json", self.settings)

    def save_when_due(
        self, method: Method, optimizer: torch.optim.Optimizer, history: History, done: int, seconds: float
    ) -> None:
        if time.perf_counter() - self.last >= self.every_seconds:
            self.save(method, optimizer, history, done, seconds)

    def save(
        self, method: Method, optimizer: torch.optim.Optimizer, history: History, done: int, seconds: float
    ) -> None:
        self.last = time.perf_counter()
        if self.folder is None:
            return
        state = {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history.rows,
            "done": done,
            "seconds": seconds,
            "settings": self.settings,  # a checkpoint by itself says what it is of, and whose loss
        }
        write_torch(self.folder / "checkpoint.pt", state)
        if history.rows:
            history.save(self.folder / "history.csv")


def advice(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What to do where only the file of a loss of one's own is another; empty otherwise.

    It is refused, not warned of: weights that two objectives have trained are those of neither, and the record would
    name the second alone.
    """
    old, new = ((run.get("settings") or {}).get("loss") for run in (before, now))
    if old == new or not (isinstance(old, dict) and isinstance(new, dict)):
        return ""
    return (
        f" The run began with {old['function']} of {old['file']} as it was then, and must end with that: put the file "
        "back, or train the changed one in another folder."
    )


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """The entries in which two nested dicts differ, as text: `scale.steps 700 -> 100`."""
    changed = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            changed += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            changed.append(f"{prefix}{key} {old!r} -> {new!r}")
    return changed
