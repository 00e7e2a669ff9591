"""Shared settings of the tests: the hypothesis profiles."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The first call of a torch function can be slow, so no deadline per example.
settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# In CI the same examples every time: a red build must be reproducible.
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
