"""A run's state as bytes and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from clips import restyled_states
from media import picture
from stylize import Clip, Style
from stylize.networks import Networks
from stylize.pipeline import State
from stylize.runs.state import from_bytes, to_bytes

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)


def test_the_state_survives_as_bytes(tiny: Networks) -> None:
    clip = Clip(np.stack([picture(i) for i in range(3)]), tuple(map(Fraction, range(3))), (Fraction(1),) * 3)
    _, state = restyled_states(tiny, [clip], STYLE)[-1]
    again = from_bytes(to_bytes(state), torch.device("cpu"))
    assert (again.memory.shot, again.memory.frames_in_shot) == (0, 3)
    assert again.depth_range == state.depth_range and again.cuts.usual == state.cuts.usual
    for one, other in zip(again.memory.previous, state.memory.previous, strict=True):
        assert all(torch.equal(a, b) for layer in other for a, b in zip(one[layer], other[layer], strict=True))
    assert again.last is not None and state.last is not None
    assert np.array_equal(again.last.styled, state.last.styled)
    empty = from_bytes(to_bytes(State()), torch.device("cpu"))
    assert empty.last is None and empty.memory.shot == -1 and empty.cuts.thumbnail is None
