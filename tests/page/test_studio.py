"""Runs that the page asks for: a queue, stopping, going on, finding again, and errors in the command line's words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crews import make_shots
from media import frames, make_video, picture
from stylize import Style, StyleError, StylizeError, Stylizer, VideoError, load_stylizer
from stylize.networks import Networks
from stylize.page.markup import status_html, wipe_html
from stylize.page.orders import KEEP_DAYS, Order
from stylize.page.studio import Studio

SETTINGS = {"prompt": "ink & <b>", "steps": 2, "strength": 0.5}


def until(met: Callable[[], bool], seconds: float = 300) -> None:
    """Waits for it; so long only where it never comes."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def studio(tiny: Networks, tmp_path: Path) -> Iterator[Studio]:
    made = Studio(Stylizer(tiny), tmp_path / "studio")
    yield made
    made.close()


def test_a_run_gives_what_convert_gives(studio: Studio, tiny: Networks, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 6)
    order = studio.submit(source, SETTINGS)
    until(lambda: order.stage == "done")
    Stylizer(tiny).convert(source, tmp_path / "out.mp4", Style(**SETTINGS))
    assert np.array_equal(frames(order.output), frames(tmp_path / "out.mp4"))
    assert (order.done, order.total, studio.orders()) == (6, 6, [order])
    assert "Done: 6 frames" in status_html(order)
    assert "in-ink-b-restyled.mp4" in wipe_html(order) and "<b>" not in wipe_html(order) + status_html(order)


def test_orders_wait_their_turn_and_what_waits_can_be_taken_back(studio: Studio, tmp_path: Path) -> None:
    first = studio.submit(make_video(tmp_path / "one.mp4", 60), SETTINGS)
    until(lambda: first.stage == "running")
    second = studio.submit(make_video(tmp_path / "two.mp4", 3), SETTINGS)
    assert second.stage == "waiting" and "Waiting" in status_html(second)
    studio.remove(first.key)  # what is under way stays
    studio.stop(second.key)
    assert (second.stage, studio.order(first.key)) == ("stopped", first)
    studio.remove(second.key)
    assert studio.order(second.key) is None and not second.folder.exists()
    studio.stop(first.key)
    until(lambda: first.stage == "stopped")


def test_a_stopped_run_goes_on_where_it_was(studio: Studio, tiny: Networks, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 150, width=64, height=48)
    order = studio.submit(source, SETTINGS)
    until(lambda: order.done >= 80)
    studio.stop(order.key)
    until(lambda: order.stage == "stopped")
    assert not order.output.exists() and "Stopped at" in status_html(order)
    began = order.done
    studio.go_on(order.key)
    until(lambda: order.stage == "done")
    assert order.before > 60 and began < 150  # from the last whole segment on, not from the first frame
    assert len(frames(order.output)) == 150


def test_another_sitting_finds_what_was_cut_off_and_lets_old_ones_go(tiny: Networks, tmp_path: Path) -> None:
    studio = Studio(Stylizer(tiny), tmp_path / "studio")
    order = studio.submit(make_video(tmp_path / "in.mp4", 100), SETTINGS)
    until(lambda: order.done > 2)
    studio.close()
    old = studio.folder / "20200101-000000-aa"
    old.mkdir()
    (old / "order.json").write_text("{}")
    os.utime(old, (0, time.time() - (KEEP_DAYS + 1) * 86400))
    (studio.folder / "20200101-000000-bb").mkdir()  # not an order
    again = Studio(Stylizer(tiny), tmp_path / "studio")
    (found,) = again.orders()
    assert (found.key, found.stage, found.title) == (order.key, "stopped", "in: ink & <b>")
    assert not old.exists()
    again.go_on(found.key)
    until(lambda: found.stage == "done")
    again.close()
    assert Order.load(found.folder, found.shown).stage == "done" and len(frames(found.output)) == 100


def test_one_bad_run_does_not_end_the_queue(studio: Studio, tmp_path: Path) -> None:
    order = studio.submit(make_video(tmp_path / "in.mp4", 3), SETTINGS | {"controls": {"depth": 1.0, "pose": 1.0}})
    until(lambda: order.stage == "failed")
    assert "has no ControlNet 'pose'" in order.error and 'role="alert"' in status_html(order)
    other = studio.submit(make_video(tmp_path / "in2.mp4", 3), SETTINGS)
    until(lambda: other.stage == "done")


def test_what_cannot_be_is_said_before_it_is_queued(studio: Studio, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 3)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(StyleError, match="there is no video yet"):
        studio.submit(None, SETTINGS)
    with pytest.raises(VideoError, match=r"text\.mp4"):
        studio.submit(tmp_path / "text.mp4", SETTINGS)
    with pytest.raises(VideoError, match=r"page\.html: is not a kind of video that the page takes"):
        studio.submit(tmp_path / "page.html", SETTINGS)
    with pytest.raises(StyleError, match="the reference is gone: give it again"):
        studio.submit(source, SETTINGS | {"reference": str(tmp_path / "gone.png")})
    with pytest.raises(StyleError, match="the prompt is empty"):
        studio.submit(source, {"prompt": " "})
    assert studio.orders() == [] and [p.name for p in studio.folder.iterdir()] == []


def test_a_preview_and_how_many_are_kept(studio: Studio, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 8)
    for _ in range(10):
        sheet, cost = studio.preview(source, SETTINGS, count=1)
    assert sheet.is_file() and "all 8 frames will take about" in cost
    assert len(list(sheet.parent.iterdir())) <= 9


def test_equal_names_do_not_meet(studio: Studio, tmp_path: Path) -> None:
    source = make_video(tmp_path / "shot.mp4", 3)
    (tmp_path / "mattes").mkdir()
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:8, :8] = 255
    matte = make_video(tmp_path / "mattes" / "shot.mp4", 3, pictures=[corner] * 3)
    order = studio.submit(source, SETTINGS | {"mask": str(matte)})
    until(lambda: order.stage == "done")
    assert np.abs(frames(order.output).astype(int) - frames(source)).mean() < 4  # little of it is the subject
    assert order.name == "shot" and frames(matte)[:, 16:].max() < 10


def test_what_ends_oddly_can_begin_again(studio: Studio, tmp_path: Path) -> None:
    order = studio.submit(make_video(tmp_path / "in.mp4", 100), SETTINGS)
    until(lambda: order.done >= 70)
    studio.stop(order.key)
    until(lambda: order.stage == "stopped")
    order.model = "another"
    studio.go_on(order.key)
    until(lambda: order.stage == "failed")
    assert "begun with another" in order.error and "begin again" in order.error
    studio.go_on(order.key, afresh=True)
    until(lambda: order.stage == "done")
    assert order.before == 1 and len(frames(order.output)) == 100
    again = Order.load(order.folder, order.shown)
    assert (again.stage, again.done) == ("done", 100)


def test_a_preview_takes_its_turn_during_a_run(studio: Studio, tmp_path: Path) -> None:
    order = studio.submit(make_video(tmp_path / "long.mp4", 300), SETTINGS)
    until(lambda: order.done > 2)
    before = order.done
    _, cost = studio.preview(make_video(tmp_path / "in.mp4", 8), SETTINGS | {"mask_from": "motion"}, count=1)
    assert "all 8 frames" in cost and order.stage == "running" and order.done < 300
    until(lambda: order.done > before + 5)
    studio.stop(order.key)
    until(lambda: order.stage == "stopped")


def test_a_full_disk_fails_the_run_and_not_the_queue(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Order) -> None:
        raise OSError(28, "No space left on device")

    order = studio.submit(make_video(tmp_path / "long.mp4", 60), SETTINGS)
    until(lambda: order.done > 2)
    second = studio.submit(make_video(tmp_path / "in.mp4", 3), SETTINGS)
    monkeypatch.setattr(Order, "save", full)
    until(lambda: second.stage == "done")


def test_a_still_is_filmed(studio: Studio, tmp_path: Path) -> None:
    Image.fromarray(picture(2, 96, 64)).save(tmp_path / "beach.png")
    making = {"camera": "pull out + handheld", "seconds": 0.5}
    order = studio.submit(tmp_path / "beach.png", SETTINGS, making)
    plain = studio.submit(tmp_path / "beach.png", {"prompt": ""}, making)
    until(lambda: plain.stage in ("done", "failed"))
    assert (order.stage, plain.stage, order.done) == ("done", "done", 12), order.error + plain.error
    assert len(frames(order.output)) == 12 and plain.title == "beach: as it is, pull out + handheld"
    assert "controls" in wipe_html(order) and "Done: 12 frames." in status_html(order)
    again = Studio(studio.stylizer, studio.folder.parent)
    assert [one.making for one in again.orders()] == [making, making]
    again.close()


def test_a_canvas_is_filled(studio: Studio, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 4)
    order = studio.submit(source, {"prompt": "", "fit": 512}, {"canvas": "1:1"})
    until(lambda: order.stage in ("done", "failed"))
    assert order.stage == "done", order.error
    assert frames(order.output).shape == (4, 64, 64, 3)


@pytest.mark.parametrize(
    ("file", "making", "message"),
    [
        ("beach.png", {"camera": "fly", "seconds": 1}, "is not a camera move"),
        ("in.mp4", {"canvas": "4:3"}, "is the picture's own size"),
        ("in.mp4", {"camera": "push in", "seconds": 1}, "is not a picture: give one of"),
        (None, {"canvas": "1:1"}, "there is no video yet"),
    ],
)
def test_what_cannot_be_made(studio: Studio, tmp_path: Path, file: str | None, making: Any, message: str) -> None:
    Image.fromarray(picture(2)).save(tmp_path / "beach.png")
    make_video(tmp_path / "in.mp4", 2)
    for call in (studio.submit, studio.preview):
        with pytest.raises(StylizeError, match=message):
            call(None if file is None else tmp_path / file, SETTINGS, making)
    assert not studio.orders()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_run_on_two_workers(tiny_model: Path, tmp_path: Path) -> None:
    """Stopped, and gone on with, as any other run; it gives what one worker gives."""
    pytest.importorskip("ray")
    stylizer = load_stylizer(str(tiny_model), device="cpu", batch=3)
    studio, source = Studio(stylizer, tmp_path / "studio"), make_shots(tmp_path / "in.mp4", repeat=5)
    order = studio.submit(source, SETTINGS, workers=2)
    until(lambda: order.done >= 60)
    studio.stop(order.key)
    until(lambda: order.stage == "stopped")
    studio.go_on(order.key)
    until(lambda: order.stage == "done")
    studio.close()
    stylizer.convert(source, tmp_path / "out.mp4", Style(**SETTINGS))
    assert np.array_equal(frames(order.output), frames(tmp_path / "out.mp4"))
    with pytest.raises(StyleError, match="made by one worker"):
        studio.submit(source, SETTINGS, {"canvas": "16:9"}, workers=2)
