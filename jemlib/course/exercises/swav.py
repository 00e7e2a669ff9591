"""Lesson 06: the exercises, with their wrong and other right answers."""

from __future__ import annotations

LESSON = "06_swav_sinkhorn"
