"""What the page says of a run, as HTML: how far it is, what went wrong, and source and result to wipe between."""

from __future__ import annotations

import html
import time
import urllib.parse

from stylize.page.orders import Order
from stylize.runs.progress import duration

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


def note(*lines: str) -> str:
    """Lines of text; empty ones are left out."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)


def problem(text: str) -> str:
    """An error, in the command line's own words."""
    return f'<p class="stylize-problem" role="alert">{html.escape(text)}</p>'


def told(order: Order | None) -> str:
    """How far a run is."""
    if order is None:
        return ""
    if order.stage == "failed":
        return problem(order.error)
    if order.stage == "waiting":
        return note("Waiting for the run before it.")
    if order.stage == "done":
        return note(f"Done: {order.done} frames, with the source's timing and sound.")
    share = 100 * order.done / order.total if order.total else 0
    bar = f'<div class="stylize-bar"><div style="width:{share:.1f}%"></div></div>'
    return note(_line(order)) + bar


def _line(order: Order) -> str:
    line = f"{order.done}/{order.total or '?'} frames"
    if order.stage == "stopped":
        return f"Stopped at {line}; “Go on” begins at the last whole segment." if order.done else "Not begun yet."
    made = order.done - order.before
    if made < 1:
        return line
    rate = made / max(time.monotonic() - order.began, 1e-6)
    left = f", {duration((order.total - order.done) / rate)} left" if order.total else ""
    return f"{line}, {rate:.2f} frames/s{left}"


def wiped(order: Order) -> str:
    """The result left of an edge that a person draws over the picture, the source right of it, playing together."""
    before, after = (
        html.escape(f"/gradio_api/file={urllib.parse.quote(str(path))}") for path in (order.source, order.output)
    )
    films = "var w=this.closest('.stylize-wipe'),a=w.querySelector('.after'),b=w.querySelector('.before');"
    return f"""<div class="stylize-wipe"><div class="held">
<video class="after" src="{after}" loop playsinline preload="auto"></video>
<video class="before" src="{before}" muted loop playsinline preload="auto"></video><div class="line"></div></div>
<div class="keys"><a href="{after}" download="{html.escape(order.output.name)}">Download</a>
<button type="button" onclick="{films}b.currentTime=a.currentTime;
if(a.paused){{a.play();b.play()}}else{{a.pause();b.pause()}}">Play</button>
<input type="range" min="0" max="100" value="50" aria-label="result left of the edge, source right of it"
 oninput="this.closest('.stylize-wipe').style.setProperty('--edge', this.value + '%')"></div></div>"""
