"""HTML for a run on the page: its progress, its error, and source and result with a wipe between them."""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from stylize.page.orders import Order, style_of
from stylize.runs.progress import Pace

STYLE = """
.stylize-wipe { --edge: 50%; max-width: 100%; }
.stylize-wipe .held { position: relative; border-radius: 8px; overflow: hidden; line-height: 0; }
.stylize-wipe video { display: block; width: 100%; }
.stylize-wipe .before { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--edge)); pointer-events: none; }
.stylize-wipe .line { position: absolute; top: 0; bottom: 0; left: var(--edge); width: 3px; margin-left: -1px;
  background: white; box-shadow: 0 0 4px black; pointer-events: none; }
.stylize-wipe .keys { display: flex; gap: .8rem; align-items: center; margin-top: .6rem; }
.stylize-wipe .keys input { flex: 1; }
.stylize-wipe .keys a { font-weight: 600; text-decoration: underline; }
.stylize-wipe button { padding: .3rem .9rem; border: 1px solid #8888; border-radius: 6px; }
#looks .grid-container { grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)) !important; }
#looks .caption-label { font-size: .72rem; padding: 1px 5px; max-width: 100%; }
.stylize-bar { height: 10px; border-radius: 5px; background: #8884; overflow: hidden; margin: .4rem 0; }
.stylize-bar div { height: 100%; background: #2f6f4f; }
.stylize-problem { color: #b3261e; font-weight: 600; overflow-wrap: anywhere; }
"""


PARTS: Any = Environment(loader=PackageLoader("stylize.page"), autoescape=True).get_template("parts.html").module


def note_html(*lines: str) -> str:
    """Returns lines of text as HTML; empty ones are left out."""
    return str(PARTS.note(lines))


def problem_html(text: str) -> str:
    """Returns an error as HTML; the text is the same as on the command line."""
    return str(PARTS.problem(text))


def status_html(order: Order | None) -> str:
    """Returns the progress of a run as HTML; empty if there is no run."""
    if order is None:
        return ""
    if order.stage == "failed":
        return problem_html(order.error)
    if order.stage == "waiting":
        return note_html("Waiting for the run before it.")
    if order.stage == "done":
        timing = "" if "camera" in order.making else ", with the source's timing and sound"
        return note_html(f"Done: {order.done} frames{timing}.")
    share = 100 * order.done / order.total if order.total else 0
    return note_html(_describe_progress(order)) + str(PARTS.bar(share))


def _describe_progress(order: Order) -> str:
    line = f"{order.done}/{order.total or '?'} frames"
    if order.stage == "stopped":
        place = "at the last whole segment" if style_of(order.settings, order.making) else "with the first frame"
        return f"Stopped at {line}; “Go on” begins {place}." if order.done else "Not begun yet."
    left = order.total - order.done if order.total else None
    pace = Pace(order.done - order.before, time.monotonic() - order.began, left)
    return f"{line}, {pace}" if pace.done > 0 else line


def wipe_html(order: Order) -> str:
    """Returns both videos playing together, the result left of an edge that the user moves, the source right of it."""
    if order.making:  # what was made has no counterpart to be wiped over
        return str(PARTS.result(_to_url(order.output), order.output.name))
    return str(PARTS.wipe(_to_url(order.source), _to_url(order.output), order.output.name))


def _to_url(path: Path) -> str:
    return f"/gradio_api/file={urllib.parse.quote(str(path))}"
