"""Writing files so that a killed process leaves the old one or the new one, never half of either."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A name next to `path` to write to; renamed to `path` when the block ends well, removed when it does not."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside and rename."""
    with atomically(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write as UTF-8, beside and renamed."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write as indented JSON with sorted keys, beside and renamed."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_torch(path: Path, value: Any) -> None:
    """Write with torch.save, beside and renamed."""
    with atomically(path) as partial:
        torch.save(value, partial)
