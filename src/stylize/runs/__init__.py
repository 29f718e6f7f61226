"""From file to file. `stylizer.Stylizer` and `preview.make_preview` are imported by themselves: they need torch."""

from __future__ import annotations

from stylize.runs.jobs import Job, jobs
from stylize.runs.progress import Progress, Report

__all__ = ["Job", "Progress", "Report", "jobs"]
