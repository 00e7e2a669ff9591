"""What a run logs."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from jemlib import validate
from jemlib.files import atomically


@dataclass
class History:
    """What was logged: one row every few steps. `interrupted` tells that the run was stopped before its end."""

    rows: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False

    def __getitem__(self, column: str) -> list[float]:
        """One column as a list: `step`, `images_seen`, `seconds`, `learning_rate`, `total`, or a loss term."""
        validate.choice("column", column, self.columns)
        return [row[column] for row in self.rows]

    @property
    def columns(self) -> list[str]:
        return list(self.rows[0]) if self.rows else []

    @property
    def terms(self) -> list[str]:
        """The named terms of the loss, `total` first."""
        return [c for c in self.columns if c not in ("step", "images_seen", "seconds", "learning_rate")]

    def save(self, path: str | Path) -> None:
        """Write the rows as a CSV file, beside it first and then renamed."""
        with atomically(Path(path)) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)
