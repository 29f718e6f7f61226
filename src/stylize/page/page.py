"""The local page: upload a video, choose a look, preview, run and compare, all on this machine."""

from __future__ import annotations

import functools
import hmac
import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import platformdirs

from stylize.errors import StyleError, StylizeError
from stylize.networks.vocabulary import Vocabulary
from stylize.page.local import LOOKS, list_looks, name_unknown
from stylize.page.markup import STYLE, note_html, problem_html, status_html, wipe_html
from stylize.page.studio import Studio
from stylize.style.camera import HANDHELD, MOVES

DETAIL = {"quick (512 pixels)": 512, "fine (768 pixels)": 768, "as the source": None}
"""Longer side at which the networks work, in pixels, by its label; `None` is the source's."""
PARTS = {"everything": None, "the subject": "subject", "the background": "background"}
"""Part that is restyled, by its label; `None` is everything. Without a matte, the subject is what moves."""
CANVASES = ["as the video", "16:9", "21:9", "4:3", "1:1", "9:16"]
"""Shapes of the result; the first leaves the video's."""
TOGETHER = ("push in + handheld", "dolly zoom + handheld")
"""Camera moves that are offered together."""
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def page(studio: Studio) -> Any:
    """Builds the page as Gradio blocks."""
    with gr.Blocks(title="stylize", analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        gr.Markdown("# stylize\nGive a video a new look; its motion and its forms stay. Nothing leaves this machine.")
        shown = gr.State("")
        with gr.Row():
            with gr.Column(min_width=320):
                video = gr.Video(label="Video", sources=["upload"], elem_id="video", height=280)
                makings = _add_makings()
                prompt = gr.Textbox(label="Look", placeholder="woodcut print, at night", elem_id="prompt", max_lines=2)
                _add_gallery(studio.stylizer.networks.vocabulary, prompt)
                reference = gr.Image(
                    label="Reference picture (optional)", type="filepath", sources=["upload"], height=160,
                    elem_id="reference",
                )  # fmt: skip
                knobs = _add_knobs(studio)
            with gr.Column(min_width=320):
                with gr.Row():
                    preview = gr.Button("Preview", elem_id="preview")
                    begin = gr.Button("Restyle the video", variant="primary", elem_id="run")
                message = gr.HTML(elem_id="message")
                sheet = gr.Image(
                    label="Preview: source above result", visible=False, interactive=False, elem_id="sheet", buttons=[]
                )
                chosen = gr.Dropdown(label="Runs", choices=[], elem_id="runs", interactive=True)
                status = gr.HTML(elem_id="status")
                with gr.Row():
                    stop = gr.Button("Stop", elem_id="stop", size="sm", interactive=False, min_width=60)
                    go_on = gr.Button("Go on", elem_id="go-on", size="sm", interactive=False, min_width=60)
                    again = gr.Button("Begin again", elem_id="again", size="sm", interactive=False, min_width=60)
                    remove = gr.Button("Delete", elem_id="remove", size="sm", interactive=False, min_width=60)
                wipe = gr.HTML(elem_id="wipe")
        asked = [video, *makings, prompt, reference, *knobs]
        state, view = [chosen, shown], [chosen, status, stop, go_on, again, remove, wipe, shown]
        refresh = _make_refresher(studio)
        preview.click(_make_previewer(studio), asked, [message, sheet], api_visibility="private")
        begin.click(_make_submitter(studio), asked, [message, chosen], api_visibility="private").then(
            refresh, state, view, **HIDDEN
        )
        afresh = functools.partial(studio.go_on, afresh=True)
        for button, act in ((stop, studio.stop), (go_on, studio.go_on), (again, afresh), (remove, studio.remove)):
            button.click(act, [chosen], None, **HIDDEN).then(refresh, state, view, **HIDDEN)
        for event in (gr.Timer(1.0).tick, chosen.input, blocks.load):
            event(refresh, state, view, **HIDDEN)
    return blocks


def _add_makings() -> list[Any]:
    """Adds what can be made beside a new look, and returns its fields: a still to film, and a larger canvas."""
    with gr.Accordion("A still instead of a video, or a larger canvas", open=False, elem_id="makings"):
        still = gr.Image(label="Still", type="filepath", sources=["upload"], height=160, elem_id="still")
        camera = gr.Dropdown(
            [*MOVES, HANDHELD, *TOGETHER], value="push in", label="Camera", info="how it moves through the still",
            elem_id="camera", allow_custom_value=True,
        )  # fmt: skip
        seconds = gr.Slider(1, 20, 4, step=0.5, label="Seconds")
        canvas = gr.Dropdown(
            CANVASES, value=CANVASES[0], label="Canvas", elem_id="canvas",
            info="the video stays as it is; beyond it the picture goes on, in the look if one is named",
        )  # fmt: skip
    return [still, camera, seconds, canvas]


def _make_making(still: str | None, camera: str, seconds: float, canvas: str) -> dict[str, Any]:
    """Returns what is to be made of the source; see `Order.making`.

    Raises:
        StyleError: a still cannot be filmed and expanded at once.
    """
    if still and canvas != CANVASES[0]:
        raise StyleError("a still is filmed or a video expanded", "choose one of both")
    if still:
        return {"camera": camera, "seconds": seconds}
    return {} if canvas == CANVASES[0] else {"canvas": canvas}


def _add_gallery(vocabulary: Vocabulary | None, prompt: Any) -> None:
    """Adds pictures of the looks; a click on one writes its words into the prompt."""
    if vocabulary is None:
        return
    words = list_looks(vocabulary)
    gallery = gr.Gallery(
        [(str(LOOKS / f"{name}.jpg"), phrase) for name, phrase in words.items()], label="Looks", columns=4, height=320,
        allow_preview=False, interactive=False, buttons=[], elem_id="looks", object_fit="cover",
    )  # fmt: skip

    def choose(event: gr.SelectData) -> str:
        return str(list(words.values())[event.index])

    gallery.select(choose, None, prompt, **HIDDEN)


def _add_knobs(studio: Studio) -> list[Any]:
    """Adds the knobs and returns them in the order that `_make_settings` expects."""
    strength, most = studio.stylizer.networks.defaults.strength, _count_workers(studio)
    with gr.Accordion("Knobs", open=False, elem_id="knobs"):
        return [
            gr.Radio(["full", "fast"], value="full", label="Mode", info="fast: keyframes, filled in between"),
            gr.Radio(list(DETAIL), value=next(iter(DETAIL)), label="Detail", info="at which the networks work"),
            gr.Slider(0.05, 1, strength, step=0.05, label="Strength", info="how far from the source"),
            gr.Slider(0, 1.5, 1, step=0.05, label="Style weight", info="how much of the look"),
            gr.Slider(0, 1, 1, step=0.05, label="Structure", info="how tightly forms are held"),
            gr.Slider(0, 1, 1, step=0.05, label="Smoothness over time"),
            gr.Slider(0, 1.5, 1, step=0.05, label="Reference weight"),
            gr.Radio(["video", "storyboard", "render"], value="video", label="The source is"),
            gr.Radio(
                list(PARTS), value="everything", label="Restyle", info="the subject is what moves, or the matte's"
            ),
            gr.File(label="Matte of the subject (optional)", file_types=["image", "video"], height=120, elem_id="mask"),
            gr.Number(0, label="Seed", precision=0, minimum=0),
            gr.Slider(
                1, max(2, most), 1, step=1, label="Workers", info="shots are shared out among them", elem_id="workers",
                visible=most > 1,
            ),
        ]  # fmt: skip


def _count_workers(studio: Studio) -> int:
    """Returns how many workers can share a run on this machine: one a card, or one a core; 1 without Ray."""
    if importlib.util.find_spec("ray") is None or studio.stylizer.loaded_with is None:
        return 1
    if studio.stylizer.networks.device.type == "cuda":
        import torch

        return torch.cuda.device_count()
    return os.cpu_count() or 1


def _make_settings(default_strength: float, prompt: str | None, reference: str | None, *knobs: Any) -> dict[str, Any]:
    """Returns the page's values as fields of `Style`; `default_strength` is the model's."""
    mode, detail, strength, style_weight, structure, temporal, weight, footage, part, mask, seed = knobs
    settings = {
        "prompt": prompt or "", "reference": reference, "mode": mode, "fit": DETAIL[detail], "strength": strength,
        "style_weight": style_weight, "structure": structure, "temporal": temporal, "reference_weight": weight,
        "footage": footage, "seed": int(seed or 0),
    }  # fmt: skip
    if footage != "video":  # knobs that were not turned are left to the kind of footage
        settings |= {"strength": None if strength == default_strength else strength}
        settings |= {"structure": None if structure == 1 else structure}
    if mask:
        settings |= {"mask": mask, "mask_part": PARTS[part] or "subject"}
    elif PARTS[part] is not None:
        settings |= {"mask_from": "motion", "mask_part": PARTS[part]}
    return settings


def _make_previewer(studio: Studio) -> Callable[..., tuple[str, Any]]:
    def show(video: str | None, still: str | None, *asked: Any) -> tuple[str, Any]:
        camera, seconds, canvas, *rest, _ = asked
        try:
            settings = _make_settings(studio.stylizer.networks.defaults.strength, *rest)
            sheet, cost = studio.preview(still or video, settings, _make_making(still, camera, seconds, canvas))
        except StylizeError as error:
            return problem_html(str(error)), gr.skip()
        return note_html(name_unknown(studio.stylizer.networks.vocabulary, settings["prompt"]), cost), gr.update(
            value=str(sheet), visible=True
        )

    return show


def _make_submitter(studio: Studio) -> Callable[..., tuple[str, Any]]:
    def submit(video: str | None, still: str | None, *asked: Any) -> tuple[str, Any]:
        camera, seconds, canvas, *rest, workers = asked
        try:
            settings = _make_settings(studio.stylizer.networks.defaults.strength, *rest)
            making = _make_making(still, camera, seconds, canvas)
            order = studio.submit(still or video, settings, making, int(workers))
        except StylizeError as error:
            return problem_html(str(error)), gr.skip()
        unknown = name_unknown(studio.stylizer.networks.vocabulary, settings["prompt"])
        return note_html(unknown), gr.update(choices=_list_choices(studio), value=order.key)

    return submit


def _make_refresher(studio: Studio) -> Callable[[str | None, str], list[Any]]:
    """Returns a function that updates only what has changed since its last call, so that a playing video plays on."""

    def refresh(chosen: str | None, shown: str) -> list[Any]:
        choices = _list_choices(studio)
        keys = [key for _, key in choices]
        key = chosen if chosen in keys else next(iter(keys), None)
        order = studio.order(key)
        stage, now = order.stage if order else "", f"{choices} {key}"
        if now == shown:
            return [gr.skip(), status_html(order) if stage == "running" else gr.skip(), *[gr.skip()] * 5, shown]
        result = order if order is not None and stage == "done" else None
        return [
            gr.update(choices=choices, value=key),
            status_html(order),
            gr.update(interactive=stage in ("running", "waiting")),
            *[gr.update(interactive=stage in ("stopped", "failed"))] * 2,
            gr.update(interactive=stage not in ("", "running")),
            wipe_html(result) if result else "",
            now,
        ]

    return refresh


def _list_choices(studio: Studio) -> list[tuple[str, str]]:
    return [(f"{order.title} ({order.stage})", order.key) for order in studio.orders()]


def default_folder() -> Path:
    """Returns the folder where runs are kept, in the user's cache."""
    return platformdirs.user_cache_path("stylize") / "page"


def check_size(text: str) -> None:
    """Raises StyleError if the text is not a file size."""
    if not re.fullmatch(r"\d+(\.\d+)?\s*(b|kb|mb|gb|tb)", text.lower()):
        raise StyleError(f"'{text}' is not a size", "write it as 500mb or 4gb")


def serve(studio: Studio, *, host: str, port: int, token: str | None, max_upload: str) -> Any:
    """Opens the page and returns its blocks; if there is a token, users must enter it as the password.

    Raises:
        StylizeError: the address or the port is not available.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(studio.uploads)}

    def admits(_: str, password: str) -> bool:
        return hmac.compare_digest(password.encode(), (token or "").encode())

    blocks = page(studio).queue(default_concurrency_limit=1)
    try:
        blocks.launch(
            server_name=host, server_port=port, auth=admits if token else None, max_file_size=max_upload, share=False,
            allowed_paths=[str(studio.shown)], prevent_thread_lock=True, quiet=True, css=STYLE,
            theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]), footer_links=[],
            ssr_mode=False, mcp_server=False, enable_monitoring=False, run_history=False, pwa=False, show_error=True,
        )  # fmt: skip
    except OSError as error:
        what = f"{host} port {port} cannot be had"
        raise StylizeError(what, "choose another with --port, or an address of this machine") from error
    return blocks
