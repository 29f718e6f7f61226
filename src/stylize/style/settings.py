"""Settings in files: a style file holds everything that a run needs, and every result carries what made it."""

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
"""Stands in a result's comment, after the source's own; settings as JSON follow."""
STYLE_OPTIONS: dict[str, tuple[str, Option]] = {
    (option := f.metadata["option"]).name or f.name: (f.name, option) for f in fields(Style)
}
"""The fields of `Style` by the name of their option, each with what the command line needs to know of it."""
PATHS = (
    *(name for name, (_, option) in STYLE_OPTIONS.items() if option.is_path),
    "model", "lora", "ip_adapter", "textual_inversion", "vae", "depth_model",
)  # fmt: skip
"""Options that may name files; relative ones are meant from the style file's folder."""


def read_style_file(path: str | PathLike[str], known: Sequence[str]) -> dict[str, Any]:
    """Options by name from TOML: those of `stylize run`, with - or _: `strength = 0.6`, `control = ["depth:1"]`.

    Args:
        known: the options that there are.

    Raises:
        StyleError: it cannot be read, or has an option that there is not.
    """
    file = Path(path)
    try:
        found = {name.replace("-", "_"): value for name, value in tomllib.loads(file.read_text()).items()}
    except OSError as error:
        raise StyleError(f"{file}: cannot be read ({error.strerror})", "check the name") from error
    except ValueError as error:
        raise StyleError(f"{file}: is not TOML ({error})", "write lines such as strength = 0.6") from error
    return {name: _resolve(file.parent, name, value) for name, value in _check_names(found, known, file).items()}


def parse_settings(comment: str, known: Sequence[str], path: str | PathLike[str]) -> dict[str, Any]:
    """The options that a result was made with, out of its comment.

    Args:
        path: of the result, for messages.

    Raises:
        StyleError: it carries none.
    """
    _, mark, settings = comment.rpartition(MARK)
    try:
        if not mark:
            raise ValueError
        found = dict(json.loads(settings))
    except ValueError as error:
        raise StyleError(f"{path}: carries no settings", "name a video that stylize made") from error
    return {name: value for name, value in found.items() if name in known}


def settings_comment(options: Mapping[str, Any]) -> str:
    """The options as text that `parse_settings` reads back."""
    kept = {name: str(v) if isinstance(v, Path) else v for name, v in options.items() if v not in (None, [], "")}
    return MARK + json.dumps(kept, ensure_ascii=False)


def options_of(style: Style, model: str) -> dict[str, Any]:
    """A style as options of `stylize run`; what is left open stays so."""
    values = {"model": model}
    for name, (field_name, option) in STYLE_OPTIONS.items():
        value = getattr(style, field_name)
        if option.is_carried:
            values[name] = value if value is None or option.show is None else option.show(value)
    return values


def style_from(options: Mapping[str, Any]) -> Style:
    """The style that options of `stylize run` describe; those that are missing keep their defaults.

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
    """Adds our settings to the source's comment, in place of those that it may carry already."""
    own = comment.partition(MARK)[0].rstrip()
    return f"{own}\n{settings}" if own else settings


def _check_names(found: dict[str, Any], known: Sequence[str], file: Path) -> dict[str, Any]:
    if strange := [name for name in found if name not in known]:
        raise StyleError(f"{file}: there is no option '{strange[0]}'", f"use {', '.join(known)}")
    return found


def _resolve(folder: Path, name: str, value: Any) -> Any:
    if name not in PATHS:
        return value
    if isinstance(value, list):
        return [_resolve(folder, name, item) for item in value]
    path, colon, weight = str(value).partition(":") if name == "lora" else (str(value), "", "")
    found = (folder / path).exists() or ("*" in path and next(folder.glob(path), None) is not None)
    return f"{folder / path}{colon}{weight}" if found else value
