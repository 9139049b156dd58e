"""What the unit tests share."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says nothing where other processes share the cores.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
