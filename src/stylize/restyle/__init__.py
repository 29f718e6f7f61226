"""A batch of frames and their maps in, restyled frames out."""

from __future__ import annotations

from stylize.restyle.choose import make_restyler
from stylize.restyle.conditions import Conditions, conditions_for
from stylize.restyle.image_restyler import ImageRestyler
from stylize.restyle.memory import Memory
from stylize.restyle.restyler import Restyler
from stylize.restyle.video_restyler import VideoRestyler

__all__ = ["Conditions", "ImageRestyler", "Memory", "Restyler", "VideoRestyler", "conditions_for", "make_restyler"]
