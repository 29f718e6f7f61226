"""Reads the addresses of live sources: cameras, screens, streams, a file as a looped camera, a test pattern."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from stylize.errors import VideoError

SourceKind: TypeAlias = Literal["camera", "screen", "stream", "pipe", "loop", "test"]
STREAMS = {"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "tcp", "srt", "http", "https"}
"""The protocols that are read; others of FFmpeg open files of this machine, or name further addresses."""
CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
SCREENS = {"linux": "x11grab", "darwin": "avfoundation", "win32": "gdigrab"}
"""FFmpeg's devices, by the name of the system."""
ADVICE = "name camera:0, screen:0, rtsp://..., udp://..., pipe:, loop:FILE or test:"
ALLOWED = "tcp,udp,tls,rtp,srtp,http,https,rtmp,rtmps,rtmpt,srt,crypto"
"""The protocols that a stream may lead to: no files."""


@dataclass(frozen=True)
class LiveAddress:
    """A live source: what PyAV is to open, and how."""

    text: str
    """As the user wrote it, with the password left out; for messages."""
    kind: SourceKind
    url: str = ""
    format: str | None = None
    """FFmpeg's name of the device; `None` for streams, whose format is found."""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def comes_back(self) -> bool:
        """True if a source that is lost may come back."""
        return self.kind in ("camera", "screen", "stream")


def parse_live_address(text: str, platform: str = sys.platform) -> LiveAddress:
    """Returns the live source that a text names.

    Args:
        platform: the system, as `sys.platform` names it.

    Raises:
        VideoError: it names none.
    """
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if colon and scheme in STREAMS and rest.startswith("//"):
        # a second is looked at, FFmpeg's own five are too late; it is shown, too: the first keyframe may be in it
        options = {"protocol_whitelist": ALLOWED, "probesize": "1000000", "analyzeduration": "1000000"}
        options |= {"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {}
        return LiveAddress(hide_password(text), "stream", text, None, options)
    if colon and scheme in ("camera", "screen"):
        return _find_device(text, scheme, rest, platform)
    if colon and scheme == "pipe" and not rest:
        return LiveAddress(text, "pipe")
    if colon and scheme == "test" and not rest:
        return LiveAddress(text, "test")
    if colon and scheme == "loop" and rest:
        return LiveAddress(text, "loop", rest)
    if colon and len(scheme) > 1 and re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme):
        raise VideoError(f"{hide_password(text)}: '{scheme}:' is not a live source", ADVICE)
    raise VideoError(f"{text}: is not a live source", f"restyle a file with stylize run, or {ADVICE}")


def _find_device(text: str, scheme: str, name: str, platform: str) -> LiveAddress:
    devices = CAMERAS if scheme == "camera" else SCREENS
    system = "linux" if platform.startswith("linux") else platform
    if system not in devices:
        raise VideoError(f"{text}: cameras and screens of this system cannot be read", "send a stream: udp://...")
    name, device = name or "0", devices[system]
    number = name.isdecimal()
    options = {"framerate": "30"}
    if device == "v4l2":
        return LiveAddress(text, "camera", f"/dev/video{name}" if number else name, device, options)
    if device == "avfoundation":
        video = f"Capture screen {name}" if scheme == "screen" and number else name
        return LiveAddress(text, "camera" if scheme == "camera" else "screen", f"{video}:none", device, options)
    if device == "dshow":
        if number:
            raise VideoError(f"{text}: cameras have names here", "write camera:NAME as the system's settings show it")
        return LiveAddress(text, "camera", f"video={name}", device, options)
    if device == "gdigrab":
        return LiveAddress(text, "screen", "desktop" if number else f"title={name}", device, options)
    return LiveAddress(text, "screen", f":{name}" if number else name, device, options)


def hide_password(url: str) -> str:
    """Returns a URL whose password is left out, for messages."""
    return re.sub(r"(://[^/@:]*):[^@]*@", r"\1:***@", url)
