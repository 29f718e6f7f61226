"""Seeds of noise."""

from __future__ import annotations

import numpy as np


def seed_of_shot(seed: int, shot: int) -> int:
    """Returns the seed that all frames of a shot share: fresh noise for each frame would flicker."""
    return int(np.random.SeedSequence([seed, max(shot, 0)]).generate_state(1, np.uint64)[0] >> 1)
