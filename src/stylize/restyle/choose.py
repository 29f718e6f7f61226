"""Chooses the restyler of a model."""

from __future__ import annotations

from stylize.networks import Networks, VideoNetworks
from stylize.restyle.image_restyler import ImageRestyler
from stylize.restyle.video_restyler import VideoRestyler


def make_restyler(networks: Networks | VideoNetworks) -> ImageRestyler | VideoRestyler:
    """Returns the restyler of an image model or of a video model."""
    return VideoRestyler(networks) if isinstance(networks, VideoNetworks) else ImageRestyler(networks)
