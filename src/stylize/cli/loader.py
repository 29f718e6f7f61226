"""Loads the model that a command's options name, and prints what became of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from stylize.cli.console import say
from stylize.style import parse_control
from stylize.style.parsing import parse_files, parse_named, parse_weighted

if TYPE_CHECKING:
    from stylize.networks import Networks, VideoNetworks
    from stylize.runs import Report
    from stylize.runs.stylizer import Stylizer


def load_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `load_stylizer` that a command's options stand for."""
    return {
        "model": given["model"],
        "device": given["device"],
        "controlnets": dict(map(parse_named, given["controlnet"])) if given["controlnet"] else None,
        "controls": [parse_control(text)[0] for text in given["control"] or []],
        "more_controls": list(parse_files(given["control_from"] or []) or {}),
        "loras": dict(map(parse_weighted, given["lora"] or [])),
        "ip_adapter": given["ip_adapter"],
        "textual_inversions": given["textual_inversion"] or [],
        "vae": given["vae"],
        "depth": given["depth_model"],
        "motion_adapter": given["motion_adapter"],
        "memory": given["memory"],
        "batch": given["batch"],
        "compile": given["compile"],
        "offline": given["offline"],
    }


def load_from(given: Mapping[str, Any]) -> Stylizer:
    """Loads the model that a command's options name, with everything that they add to it."""
    from stylize.runs.stylizer import load_stylizer

    tell = None if given["quiet"] else say
    stylizer = load_stylizer(**load_options(given), say=tell)
    if tell is not None:
        tell(_describe_model(stylizer.networks))
    return stylizer


def make_report_printer(as_json: bool, quiet: bool) -> Callable[[Report], None]:
    """Returns what prints a run's report: as JSON, in words, or not at all."""

    def print_report(report: Report) -> None:
        if as_json:
            typer.echo(json.dumps(asdict(report)))
        elif not quiet:
            typer.echo(_describe_report(report))

    return print_report


def _describe_model(networks: Networks | VideoNetworks) -> str:
    """Names the model, its device and number format, and how many looks it knows."""
    line = f"model {networks.name} on {networks.device}, {str(networks.dtype).removeprefix('torch.')}"
    if networks.vocabulary is None:
        return line
    looks = len(networks.vocabulary.looks)
    return f"{line}; it knows {looks} looks by name, `--model sd15` takes any prompt but wants a GPU"


def _describe_report(report: Report) -> str:
    rate = report.frames / report.seconds
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    return f"{report.output}: {report.frames} frames, {shots}, {report.seconds:.1f} s ({rate:.2f} frames/s)"
