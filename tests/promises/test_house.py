"""The house: importing a wing's face brings in no torch, and each module says in one sentence what it is for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src" / "stylize").rglob("*.py"))
LIGHT = ("cli", "runs", "models", "style", "decode", "encode", "motion", "metrics")


@pytest.mark.parametrize("wing", LIGHT)
def test_a_light_face_brings_in_no_torch(wing: str) -> None:
    code = f"import sys, stylize.{wing}; assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_starts_without_numpy() -> None:
    """`stylize --help` is quick."""
    code = "import sys, stylize.cli; assert not {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_and_functions_stay_short() -> None:
    lengths = []
    for path in SOURCES:
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lengths.append(node.end_lineno - node.lineno + 1)  # type: ignore[operator]
                assert lengths[-1] <= 60, f"{path}: {node.name}"
    lengths.sort()
    assert lengths[len(lengths) // 2] <= 9 and lengths[len(lengths) * 9 // 10] <= 30


def test_everything_public_is_explained() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree) or path.name == "__main__.py", path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"
                members = node.body if isinstance(node, ast.ClassDef) else []
                for member in members:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                        assert ast.get_docstring(member), f"{path}: {node.name}.{member.name}"


def test_the_design_names_every_file() -> None:
    """docs/design.md is the map: each file stands in its wing's part of the tree."""
    tree = (Path(__file__).parents[2] / "docs" / "design.md").read_text().split("```")[1]
    wings = dict(re.findall(r"─ ([a-z]+)/(.*?)(?=[├└]──)", tree, re.DOTALL))
    for path in SOURCES:
        if path.name.startswith("__"):
            continue
        wing = path.parent.name
        text = tree if wing == "stylize" else wings[wing]
        assert re.search(rf"\b{path.stem}\b", text), f"{wing}/{path.stem} is not in docs/design.md"
