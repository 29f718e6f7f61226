"""Frames that no camera took: a still in space that a camera moves through."""

from __future__ import annotations

from stylize.scenes.reader import SceneReader, Shot

__all__ = ["SceneReader", "Shot"]
