"""What fits into a device's memory, and what `stylize doctor` finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clips import joined, make_clip
from stylize import Style, StylizeError, Stylizer, load_stylizer
from stylize.networks import Networks, arrange
from stylize.networks import budget as hardware
from stylize.networks.budget import Needs, choose_layout, needs_of
from stylize.style.values import Layout

GB = 10**9
NEEDS = Needs(weights=4 * GB, decoding=4 * GB, denoising=GB // 2, keys_values=0, steps=4)


@pytest.mark.parametrize(
    ("free", "layout"), [(10, "whole"), (8.8, "tiled"), (5.1, "tiled"), (4.9, "offloaded"), (1.2, "offloaded")]
)
def test_the_quickest_layout_that_fits(free: float, layout: str) -> None:
    assert choose_layout(NEEDS, int(free * GB), loaded=0) == layout


def test_weights_that_are_there_already_count_as_room() -> None:
    assert choose_layout(NEEDS, 5 * GB, loaded=4 * GB) == "whole"


def test_what_a_user_asks_for_is_taken() -> None:
    assert choose_layout(NEEDS, GB, loaded=0, wanted="tiled") == "tiled"


def test_nothing_fits() -> None:
    with pytest.raises(StylizeError, match=r"a frame takes about 1\.0 GB, 0\.5 GB are free: choose a smaller size"):
        choose_layout(NEEDS, GB // 2, loaded=0)


def test_memory_that_cannot_be_asked_is_taken_for_granted() -> None:
    assert choose_layout(NEEDS, None, loaded=0) == "whole"


def test_needs_grow_with_the_frame(tiny: Networks) -> None:
    small, large = needs_of(tiny, (64, 48)), needs_of(tiny, (128, 96))
    assert large.decoding == 4 * small.decoding and large.weights == small.weights
    parameters = sum(p.nbytes for p in tiny.unet.parameters())
    assert small.weights > parameters


def test_little_memory_is_said_and_leaves_no_trace(tiny: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, style, said = make_clip(1, size=(96, 80)), Style(prompt="ink"), list[str]()
    whole = joined(list(Stylizer(tiny).stream([clip], style)))
    needs = needs_of(tiny, (96, 80))
    monkeypatch.setattr(hardware, "free_bytes", lambda _: int(needs.of("tiled") / 0.89) - needs.weights)
    assert arrange(tiny, (96, 80), say=said.append) == "tiled"
    assert len(said) == 1 and said[0].endswith("so frames are decoded in tiles")
    assert joined(list(Stylizer(tiny).stream([clip], style))).shape == whole.shape
    monkeypatch.undo()
    assert arrange(tiny, (96, 80)) == "whole"
    assert np.array_equal(whole, joined(list(Stylizer(tiny).stream([clip], style))))


def test_the_built_in_model_in_tiles() -> None:
    """Nearly the same picture, and one frame is counted as one."""
    stylizer = load_stylizer("pocket", device="cpu", dtype=torch.float32)
    clip, style = make_clip(1, size=(640, 576)), Style(prompt="ink drawing")
    whole = joined(list(stylizer.stream([clip], style)))
    assert arrange(stylizer.networks, (640, 576), "tiled") == "tiled"
    with stylizer.networks.counting() as counts:
        tiled = joined(list(stylizer.stream([clip], style)))
    assert counts.frames == 1
    assert np.abs(whole.astype(int) - tiled).mean() < 2


@pytest.mark.parametrize("layout", ["whole", "tiled"])
def test_tiles_are_no_frames(tiny: Networks, layout: Layout) -> None:
    arrange(tiny, (96, 80), layout)
    with tiny.counting() as counts:
        list(Stylizer(tiny).stream([make_clip(2, size=(96, 80))], Style(prompt="ink")))
    arrange(tiny, (96, 80), "whole")
    assert counts.frames == 2
