"""The command line within this process."""

from __future__ import annotations

from typer.testing import CliRunner

from stylize.cli import app


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr
