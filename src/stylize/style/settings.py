"""Settings in files: a style file holds the options of a run, and every result records the options that made it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from stylize.errors import StyleError
from stylize.style.style import Style
from stylize.style.values import Option

MARK = "stylize settings: "
"""Separates the parts of a result's comment: the source's own comment before it, the settings as JSON after it."""
STYLE_OPTIONS: dict[str, tuple[str, Option]] = {
    (option := f.metadata["option"]).name or f.name: (f.name, option) for f in fields(Style)
}
"""The fields of `Style` by the name of their option: the name of the field, and its description as an option."""
PATHS = (
    *(name for name, (_, option) in STYLE_OPTIONS.items() if option.is_path),
    "model", "lora", "ip_adapter", "textual_inversion", "vae", "depth_model", "motion_adapter",
)  # fmt: skip
"""Options that may name files; in a style file, relative paths start from the folder of that file."""


NAMED_PATHS = ("control_from", "keyframe")
"""Options of the form NAME:PATH."""


def read_style_file(path: str | PathLike[str], known: Sequence[str]) -> dict[str, Any]:
    """Reads options of `stylize run` by name from TOML, with - or _: `strength = 0.6`, `control = ["depth:1"]`.

    Args:
        known: names of the options that exist.

    Raises:
        StyleError: the file cannot be read, or has an unknown option.
    """
    file = Path(path)
    try:
        options = {
            name.replace("-", "_"): value for name, value in tomllib.loads(file.read_text(encoding="utf-8")).items()
        }
    except OSError as error:
        raise StyleError(f"{file}: cannot be read ({error.strerror})", "check the name") from error
    except ValueError as error:
        raise StyleError(f"{file}: is not TOML ({error})", "write lines such as strength = 0.6") from error
    return {name: _resolve(file.parent, name, value) for name, value in _check_names(options, known, file).items()}


def parse_settings(comment: str, known: Sequence[str], path: str | PathLike[str]) -> dict[str, Any]:
    """Returns the options that a result was made with, from its comment.

    Args:
        path: path of the result, for messages.

    Raises:
        StyleError: the comment has no settings.
    """
    _, mark, settings = comment.rpartition(MARK)
    try:
        if not mark:
            raise ValueError
        options = dict(json.loads(settings))
    except (TypeError, ValueError) as error:
        raise StyleError(f"{path}: carries no settings", "name a video that stylize made") from error
    return {name: value for name, value in options.items() if name in known}


def settings_comment(options: Mapping[str, Any]) -> str:
    """Returns the options as text that `parse_settings` reads back."""
    kept = {name: str(v) if isinstance(v, Path) else v for name, v in options.items() if v not in (None, [], "")}
    return MARK + json.dumps(kept, ensure_ascii=False)


def options_of(style: Style, model: str) -> dict[str, Any]:
    """Returns a style as options of `stylize run`; values that the style leaves open stay open."""
    values = {"model": model}
    for name, (field_name, option) in STYLE_OPTIONS.items():
        value = getattr(style, field_name)
        if option.is_carried:
            values[name] = value if value is None or option.show is None else option.show(value)
    return values


def style_from(options: Mapping[str, Any]) -> Style:
    """Returns the style that options of `stylize run` describe; missing options keep their defaults.

    Raises:
        StyleError: a value has no meaning.
    """
    values = {}
    for name, (field_name, option) in STYLE_OPTIONS.items():
        if name in options:
            value = options[name]
            values[field_name] = value if value is None or option.parse is None else option.parse(value)
    return Style(**values)


def append_settings(comment: str, settings: str) -> str:
    """Adds our settings to the source's comment, in place of settings that it may have already."""
    source_comment = comment.partition(MARK)[0].rstrip()
    return f"{source_comment}\n{settings}" if source_comment else settings


def _check_names(options: dict[str, Any], known: Sequence[str], file: Path) -> dict[str, Any]:
    if strange := [name for name in options if name not in known]:
        raise StyleError(f"{file}: there is no option '{strange[0]}'", f"use {', '.join(known)}")
    return options


def _resolve(folder: Path, name: str, value: Any) -> Any:
    if name not in PATHS:
        return value
    if isinstance(value, list):
        return [_resolve(folder, name, item) for item in value]
    if name in NAMED_PATHS:
        what, colon, path = str(value).partition(":")
        return f"{what}{colon}{_resolve(folder, 'reference', path)}"
    path, colon, weight = str(value).partition(":") if name == "lora" else (str(value), "", "")
    exists = (folder / path).exists() or ("*" in path and next(folder.glob(path), None) is not None)
    return f"{folder / path}{colon}{weight}" if exists else value
