"""Turns text from the command line into values: sizes, rates, and names with weights or paths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from stylize.errors import StyleError
from stylize.style.values import Control

SWEPT: dict[str, Callable[[str], Any]] = {
    "prompt": str, "negative_prompt": str, "strength": float, "guidance": float, "steps": int, "seed": int,
    "reference": str, "reference_weight": float,
}  # fmt: skip
"""Options whose values can be compared on a sheet."""


NTSC = (24, 30, 48, 60, 120)
MOST_WEIGHT = 10.0
"""Of a LoRA, either way."""


def parse_size(text: str) -> tuple[int, int]:
    """Parses `"512x288"` into `(512, 288)`."""
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and height.isascii() and width.isdigit() and height.isdigit()):
        raise StyleError(f"'{text}' is not a size", "write WIDTHxHEIGHT, such as 512x288")
    return int(width), int(height)


def show_size(size: tuple[int, int]) -> str:
    """Writes `(512, 288)` as `"512x288"`."""
    return f"{size[0]}x{size[1]}"


def parse_controls(texts: Iterable[str]) -> dict[str, Control] | None:
    """Parses each text as `parse_control` does; returns `None` if there are no texts."""
    return dict(map(parse_control, texts)) or None


def show_controls(controls: Mapping[str, float | Control]) -> list[str]:
    """Writes controls as texts that `parse_controls` reads back."""
    known = {name: c if isinstance(c, Control) else Control(c) for name, c in controls.items()}
    return [f"{name}:{c.weight:g}@{c.start:g}-{c.end:g}" for name, c in known.items()]


def parse_control(text: str) -> tuple[str, Control]:
    """Parses `"depth:0.5"` into `("depth", Control(0.5))`; `"canny:0.8@0-0.6"` counts in the first 60 % of steps."""
    name, _, rest = text.partition(":")
    weight, at, part = rest.partition("@")
    start, dash, end = part.partition("-")
    try:
        numbers = float(weight) if weight else 1.0, float(start or 0), float(end or 1)
        if bool(at) != bool(dash) or not all(map(math.isfinite, numbers)):
            raise ValueError
        return name, Control(*numbers)
    except ValueError:
        raise StyleError(f"'{text}' is not a control", "write NAME:WEIGHT, such as depth:0.5") from None


def parse_files(texts: Iterable[str]) -> dict[str, str] | None:
    """Parses `["canny:edges/"]` into `{"canny": "edges/"}`; returns `None` if there are no texts."""
    files = {}
    for text in texts:
        name, _, path = text.partition(":")
        if not name or not path:
            raise StyleError(f"'{text}' names no pictures", "write NAME:PATH, such as canny:edges/")
        files[name] = path
    return files or None


def parse_keyframes(texts: Iterable[str]) -> dict[Fraction, str] | None:
    """Parses `["3.2:painted.png"]` into pictures by their second; returns `None` if there are no texts."""
    found: dict[Fraction, str] = {}
    for text in texts:
        second, _, path = text.partition(":")
        try:
            at = Fraction(second)
        except (ValueError, ZeroDivisionError):
            at = Fraction(-1)
        if at < 0 or not path:
            raise StyleError(f"'{text}' is not a keyframe", "write SECOND:PICTURE, such as 0:painted.png")
        if at in found:
            raise StyleError(f"two keyframes are given at {second} s", "leave one out")
        found[at] = path
    return found or None


def show_keyframes(keyframes: Mapping[Fraction, Any]) -> list[str]:
    """Writes keyframes as texts that `parse_keyframes` reads back."""
    return [f"{second}:{path}" for second, path in keyframes.items()]


def show_files(files: Mapping[str, Any]) -> list[str]:
    """Writes files by name as texts that `parse_files` reads back."""
    return [f"{name}:{path}" for name, path in files.items()]


def parse_rate(text: str | None) -> Fraction | None:
    """Parses `"24"` or `"30000/1001"` into pictures per second; `None` stays `None`.

    The rates of NTSC, which people write as 23.976, 29.97 and 59.94, are exact: 24000/1001 and so on.
    """
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise StyleError(f"'{text}' is not a frame rate", "write a number up to 1000, such as 24 or 30000/1001")
    ntsc = Fraction(1000 * round(rate), 1001)
    return ntsc if rate.denominator > 1 and round(rate) in NTSC and abs(rate - ntsc) < Fraction(1, 200) else rate


def parse_weighted(text: str) -> tuple[str, float]:
    """Parses `"ink.safetensors:0.8"` into `("ink.safetensors", 0.8)`; the weight is 1 if it is left out."""
    name, colon, weight = text.rpartition(":")
    try:
        number = float(weight) if colon else 1.0
    except ValueError:
        return text, 1.0  # the colon of a Windows drive
    if not abs(number) <= MOST_WEIGHT:
        raise StyleError(f"'{text}' has a weight out of range", f"use -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}")
    return (name if colon else text), number


def parse_named(text: str) -> tuple[str, str]:
    """Splits `"lineart=lllyasviel/control_v11p_sd15_lineart"` into the control's name and the folder or hub id."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise StyleError(f"'{text}' names no ControlNet", "write NAME=FOLDER or NAME=owner/repository")
    return name, folder


def parse_sweep(text: str) -> dict[str, dict[str, Any]]:
    """Parses `"strength=0.5|0.7"` into changed options by caption: `{"strength 0.5": {"strength": 0.5}, ...}`.

    Raises:
        StyleError: the text names no option of `SWEPT`, or a value that the option cannot have.
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name not in SWEPT or not values.strip():
        raise StyleError(f"'{text}' is not a comparison", f"write 'strength=0.5|0.7'; it goes with {', '.join(SWEPT)}")
    try:
        parsed_values = {value.strip(): SWEPT[name](value.strip()) for value in values.split("|")}
    except ValueError:
        raise StyleError(f"'{text}' has a value that {name} cannot have", "write 'strength=0.5|0.7'") from None
    return {f"{name.replace('_', ' ')} {value}": {name: parsed} for value, parsed in parsed_values.items()}
