"""Reads videos: frames with their exact times, from files, folders of pictures and animations."""

from __future__ import annotations

from stylize.decode.container import comment_of
from stylize.decode.per_frame import PerFrame
from stylize.decode.pictures import read_picture
from stylize.decode.probe import VideoInfo, probe
from stylize.decode.read_ahead import ReadAhead
from stylize.decode.reader import VideoReader

__all__ = ["PerFrame", "ReadAhead", "VideoInfo", "VideoReader", "comment_of", "probe", "read_picture"]
