"""A run's state as bytes and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from media import picture
from stylize import Clip, Style, Stylizer
from stylize.motion import CutDetector
from stylize.networks import Networks
from stylize.restyle import Memory
from stylize.runs.state import State

STYLE = Style(prompt="ink drawing", steps=2, strength=0.5)


def test_the_state_survives_as_bytes(tiny: Networks) -> None:
    clip = Clip(np.stack([picture(i) for i in range(3)]), tuple(map(Fraction, range(3))), (Fraction(1),) * 3)
    _, state = list(Stylizer(tiny).steps([clip], STYLE))[-1]
    assert state is not None
    again = State.from_bytes(state.to_bytes(), torch.device("cpu"))
    assert (again.memory.shot, again.memory.frames_in_shot) == (0, 3)
    assert again.memory.depth_range == state.memory.depth_range and again.detector.usual == state.detector.usual
    for one, other in zip(again.memory.previous, state.memory.previous, strict=True):
        assert all(torch.equal(a, b) for layer in other for a, b in zip(one[layer], other[layer], strict=True))
    assert again.memory.last is not None and state.memory.last is not None
    assert np.array_equal(again.memory.last.styled, state.memory.last.styled)
    empty = State.from_bytes(State(Memory(), CutDetector()).to_bytes(), torch.device("cpu"))
    assert empty.memory.last is None and empty.memory.shot == -1
