"""Seeds of noise."""

from __future__ import annotations

import numpy as np


def seed_of_shot(seed: int, shot: int) -> int:
    """Returns the seed that all frames of a shot share: fresh noise for each frame would flicker."""
    return int(np.random.SeedSequence([seed, max(shot, 0)]).generate_state(1, np.uint64)[0] >> 1)


def seed_of_frame(seed: int, shot: int, frame: int) -> int:
    """Returns a frame's own seed: motion modules learnt videos with fresh noise in every frame."""
    return int(np.random.SeedSequence([seed, max(shot, 0), frame]).generate_state(1, np.uint64)[0] >> 1)
