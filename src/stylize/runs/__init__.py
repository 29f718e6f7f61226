"""TODO runs."""

from __future__ import annotations

from stylize.runs.jobs import Job, jobs
from stylize.runs.progress import Progress, Report

__all__ = ["Job", "Progress", "Report", "jobs"]
