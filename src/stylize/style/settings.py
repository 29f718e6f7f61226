"""Settings in files: a style file holds everything that a run needs, and every result carries what made it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from stylize.decode.container import open_container
from stylize.errors import StyleError
from stylize.style.style import Style

MARK = "stylize settings: "
"""Stands in a result's comment, after the source's own; settings as JSON follow."""
PATHS = ("reference", "mask", "depth_from", "model", "lora", "ip_adapter", "textual_inversion", "vae", "depth_model")
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
        raise StyleError(f"{file}: is no TOML ({error})", "write lines such as strength = 0.6") from error
    return {name: _from_folder(file.parent, name, value) for name, value in _checked(found, known, file).items()}


def read_settings(styled: str | PathLike[str], known: Sequence[str]) -> dict[str, Any]:
    """The options that a result was made with, out of its comment.

    Raises:
        VideoError: it cannot be read.
        StyleError: it carries none.
    """
    with open_container(Path(styled)) as container:
        comment = {key.lower(): value for key, value in container.metadata.items()}.get("comment", "")
    _, mark, settings = comment.rpartition(MARK)
    try:
        if not mark:
            raise ValueError
        found = dict(json.loads(settings))
    except ValueError as error:
        raise StyleError(f"{styled}: carries no settings", "name a video that stylize made") from error
    return {name: value for name, value in found.items() if name in known}


def settings_comment(options: Mapping[str, Any]) -> str:
    """What `read_settings` reads back."""
    kept = {name: str(v) if isinstance(v, Path) else v for name, v in options.items() if v not in (None, [], "")}
    return MARK + json.dumps(kept, ensure_ascii=False)


def options_of(style: Style, model: str) -> dict[str, Any]:
    """A style as options of `stylize run`; what is left open stays so."""
    controls = [f"{n}:{c.weight:g}@{c.start:g}-{c.end:g}" for n, c in style.asked_controls.items()]
    other = {"guidance_scale": "guidance"}
    plain = {other.get(f.name, f.name): getattr(style, f.name) for f in fields(Style)}
    size = f"{style.size[0]}x{style.size[1]}" if style.size else None
    means = style.means
    changed = {"controls": None, "control": controls, "size": size, "temporal": min(means.attention, means.fusion)}
    return {"model": model} | plain | changed


def beside_own(comment: str, settings: str) -> str:
    """The source's comment with the settings after it, in place of those that it may carry already."""
    own = comment.partition(MARK)[0].rstrip()
    return f"{own}\n{settings}" if own else settings


def _checked(found: dict[str, Any], known: Sequence[str], file: Path) -> dict[str, Any]:
    if strange := [name for name in found if name not in known]:
        raise StyleError(f"{file}: there is no option '{strange[0]}'", f"use {', '.join(known)}")
    return found


def _from_folder(folder: Path, name: str, value: Any) -> Any:
    if name not in PATHS:
        return value
    if isinstance(value, list):
        return [_from_folder(folder, name, item) for item in value]
    path, colon, weight = str(value).partition(":") if name == "lora" else (str(value), "", "")
    found = (folder / path).exists() or ("*" in path and next(folder.glob(path), None) is not None)
    return f"{folder / path}{colon}{weight}" if found else value
