"""What a driver and its workers say to each other: values that any process can take apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stylize.runs.convert import Resources
from stylize.runs.jobs import Job
from stylize.style import Style

LARGEST = 2**30
"""Bytes of the largest file that travels between machines; larger ones want storage that all of them see."""


@dataclass(frozen=True)
class Film:
    """A video to restyle, for workers."""

    job: Job
    style: Style
    folder: Path
    """Of the run: the workers' segments go there, if they see it."""
    token: str
    """Content of a file in that folder, by which a worker knows that it sees it; no other film has it."""
    files: Mapping[str, int | None]
    """The files that it needs, by their path on the driver, with their lengths; `None` for folders and patterns."""
    begun: Mapping[str, Any]
    """Identity of the unfinished run that is resumed, if any."""
    resources: Resources | None = None
    """Layout and batch that the first worker chose; `None` before."""


@dataclass(frozen=True)
class Loaded:
    """A worker that has loaded the model."""

    version: str
    host: str
    device: str
    model: str
    pid: int
    """Of its process."""


@dataclass(frozen=True)
class Prepared:
    """A worker that has opened a film."""

    missing: tuple[str, ...] = ()
    """Files that it does not have."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources | None = None


@dataclass(frozen=True)
class Begun:
    """A worker that has begun a unit, unless it must be given the state to begin with."""

    lacks_state: bool = False


@dataclass(frozen=True)
class Step:
    """What a worker has done of its unit."""

    frames: int
    """Frames of the unit that are done."""
    seconds: float
    """Seconds since the unit was begun."""
    done: bool = False
    anchor: bytes | None = field(default=None, repr=False)
    """The state with the style anchor, once, from the video's first unit; empty if it is in the run's folder."""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """New files of the unit, from a worker that does not see the run's folder."""
    lines: tuple[tuple[str, str], ...] = ()
    """Lines for the user, each with the name of the warning's class, or empty."""
    peak_rss_mb: float | None = None
    peak_vram_mb: float | None = None


@dataclass(frozen=True)
class Failure:
    """An expected error, by the name of its class; `again` if another try may do better."""

    error: str
    what: str
    advice: str
    again: bool = False
