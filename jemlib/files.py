"""Writing files so that a killed process leaves the old one or the new one, never half of either."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch


def write_text(path: Path, text: str) -> None:
    """Write beside and rename."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write as indented JSON with sorted keys, beside and renamed."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_torch(path: Path, value: Any) -> None:
    """Write with torch.save, beside and renamed."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        torch.save(value, beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
