"""Lesson 05: the exercises, with their wrong and other right answers."""

from __future__ import annotations

LESSON = "05_collapse"
