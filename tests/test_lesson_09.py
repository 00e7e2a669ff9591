"""Lesson 09: its pictures, and the functions behind them."""

from __future__ import annotations
