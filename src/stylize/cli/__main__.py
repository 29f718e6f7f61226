"""`python -m stylize.cli` is the `stylize` command."""

from stylize.cli import app

app()
