"""Lesson 03: the exercises, with their wrong and other right answers."""

from __future__ import annotations

LESSON = "03_information_bottleneck"
