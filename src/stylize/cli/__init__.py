"""The `stylize` command."""

from __future__ import annotations

from stylize.cli.commands import app

__all__ = ["app"]
