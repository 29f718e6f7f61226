"""`stylize doctor`."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from stylize.cli import app, doctor


def test_doctor_finds_this_installation_well() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert f"torch {torch.__version__}" in result.stdout or f"torch {metadata.version('torch')}" in result.stdout
    for line in ("runs on ", "encoders: libx264", "models on disk: pocket", "hub cache: ", "all is well"):
        assert line in result.stdout


def test_doctor_finds_two_builds_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    class Distribution:
        def __init__(self, name: str) -> None:
            self.metadata = {"Name": name}

    found = doctor.Findings()
    names = ["opencv-python", "opencv-python-headless", "numpy"]
    monkeypatch.setattr(doctor.metadata, "distributions", lambda: [Distribution(name) for name in names])
    doctor._check_duplicates(found)
    assert found.problems == [
        "OpenCV is installed 2 times (opencv-python, opencv-python-headless): pip uninstall opencv-python, then "
        "pip install --force-reinstall opencv-python-headless"
    ]


def test_doctor_says_what_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms\n does not exist")
        return None

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    found = doctor.Findings()
    doctor._check_imports(found)
    reason = "operator torchvision::nms does not exist"
    assert found.problems == [f"torchvision cannot be imported ({reason}): install it again"]
