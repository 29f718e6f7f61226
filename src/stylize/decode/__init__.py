"""TODO decode."""

from __future__ import annotations

from stylize.decode.pictures import read_picture
from stylize.decode.probe import VideoInfo, probe
from stylize.decode.read_ahead import ReadAhead
from stylize.decode.reader import VideoReader

__all__ = ["ReadAhead", "VideoInfo", "VideoReader", "probe", "read_picture"]
