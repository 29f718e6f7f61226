"""Runs from file to file. Import `stylizer.Stylizer` and `preview.make_preview` from their modules: they need torch."""

from __future__ import annotations

from stylize.runs.jobs import Job, jobs
from stylize.runs.progress import Progress, Report

__all__ = ["Job", "Progress", "Report", "jobs"]
