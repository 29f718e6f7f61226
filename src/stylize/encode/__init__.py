"""Writes videos: complete or not at all."""

from __future__ import annotations

from stylize.encode.codecs import Encoding, choose_encoding
from stylize.encode.outputs import check_output
from stylize.encode.segments import WorkFolder
from stylize.encode.target import Target
from stylize.encode.writer import VideoWriter

__all__ = ["Encoding", "Target", "VideoWriter", "WorkFolder", "check_output", "choose_encoding"]
