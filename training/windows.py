"""Random windows of the renditions: photo, rendition, maps, prompts or references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import CLIPTokenizer

import prompts
import tones
from data import recolour
from denoiser import REFERENCE_SIDE
from painters import CELLS
from renditions import FLAT
from stylize.structure.cells import KINDS

REFERRED, UNPROMPTED, TONED = 0.2, 0.4, 0.25
"""Shares of the batches with references, of the photos whose prompt names no look, and of the windows with a tone."""
HARD = ("crayon", "risograph", "pixel-art", "comic", "pointillism", "gouache")
LESS_HARD = ("pop-art", "coloured-pencil", "stained-glass", "impressionist", "cartoon", "charcoal", "photo")
OFTEN = dict.fromkeys(HARD, 3.0) | dict.fromkeys(LESS_HARD, 1.5)
"""How often a look is drawn, where not once in its turn."""
FLAT_SHARE = 0.06
"""Share of the windows that are of flat pictures, beside those that are drawn by chance."""
GRID, MOVED = 8, 2
"""Windows begin at patches; two of a pair lie up to so many patches apart."""


@dataclass
class Batch:
    """Windows of a batch; of a pair the first half are the ones that are read."""

    source: torch.Tensor
    """`[B, 3, P, P]` in [-1, 1], as is the target."""
    target: torch.Tensor
    maps: dict[str, torch.Tensor]
    """`[B, 3, P, P]` in [0, 1] by control."""
    tokens: torch.Tensor
    references: torch.Tensor | None
    """`[B, 3, 128, 128]` in [-1, 1]."""
    paired: bool


class Windows:
    """All renditions with their maps, in files that are mapped into memory."""

    def __init__(self, work: Path, tokenizer: CLIPTokenizer, device: torch.device) -> None:
        self.device, self.tokenizer = device, tokenizer
        self.looks = (work / "looks.txt").read_text().split()
        self.pictures, self.fields, self.lines, self.depth = (
            [np.load(path, mmap_mode="r") for path in sorted(work.glob(f"{name}-*.npy"))]
            for name in ("pictures", "fields", "lines", "depth")
        )
        if not self.pictures:
            raise SystemExit(f"no renditions in {work}: run training/renditions.py first")
        often = np.array([OFTEN.get(look, 1.0) for look in self.looks])
        self.often = often / often.sum()
        self.kinds = np.array([1 + list(KINDS).index(CELLS[k]) if k in CELLS else 0 for k in self.looks])
        self.referable = np.flatnonzero(self.kinds[1:] == 0) + 1

    def draw(self, rng: np.random.Generator, count: int, side: int, *, paired: bool) -> Batch:
        """Random windows of `side` x `side` pixels; of a pair, the second shows the same photo a little moved."""
        own = count // 2 if paired else count
        referred = not paired and rng.random() < REFERRED
        rows = [self._choose(rng, side, referred) for _ in range(own)]
        if paired:
            rows += [self._move(rng, side, row) for row in rows]
        references, recolouring = None, None
        if referred:
            recolouring = recolour(own)
            references = recolouring(self._references(rng, [row.look for row in rows]))
        texts, asked = zip(*[self._text(rng, row.look, referred) for row in rows[:own]], strict=True)
        times = 2 if paired else 1
        source = self._stack(self.pictures, rows, side, lambda row: 0)
        target = self._stack(self.pictures, rows, side, lambda row: row.look)
        target = recolouring(target) if recolouring else target
        for k, tone in enumerate(asked * times):
            if tone is not None:
                target[k] = tone(target[k])
        return Batch(
            source * 2 - 1, target * 2 - 1, self._maps(rows, side), self._tokens(texts * times),
            None if references is None else references * 2 - 1, paired,
        )  # fmt: skip

    def _choose(self, rng: np.random.Generator, side: int, referred: bool) -> Row:
        part = int(rng.choice(len(self.pictures), p=np.array([len(p) for p in self.pictures]) / self.count))
        photos = len(self.pictures[part])
        # the flat ones are the last: nothing hides a fault there
        first = photos - FLAT // len(self.pictures) if rng.random() < FLAT_SHARE else 0
        look = int(rng.choice(self.referable)) if referred else int(rng.choice(len(self.looks), p=self.often))
        limit = (self.pictures[part].shape[2] - side) // GRID
        y, x = (GRID * int(place) for place in rng.integers(0, limit + 1, 2))
        return Row(part, int(rng.integers(max(0, first), photos)), look, y, x)

    def _move(self, rng: np.random.Generator, side: int, row: Row) -> Row:
        limit = self.pictures[row.part].shape[2] - side
        y, x = (int(np.clip(p + GRID * rng.integers(-MOVED, MOVED + 1), 0, limit)) for p in (row.y, row.x))
        return Row(row.part, row.photo, row.look, y, x)

    @property
    def count(self) -> int:
        """How many photos there are."""
        return sum(map(len, self.pictures))

    def _text(self, rng: np.random.Generator, look: int, referred: bool) -> tuple[str, tones.Tone | None]:
        words, tone = tones.sample(rng) if rng.random() < TONED else ("", None)
        if referred or (look == 0 and rng.random() < UNPROMPTED):
            return words, tone
        return prompts.sample(self.looks[look], rng, words), tone

    def _tokens(self, texts: tuple[str, ...]) -> torch.Tensor:
        rows = self.tokenizer(list(texts), padding="max_length", truncation=True, max_length=32)["input_ids"]
        return torch.tensor(rows, device=self.device)

    def _references(self, rng: np.random.Generator, looks: list[int]) -> torch.Tensor:
        """Other photos in the same looks, `[B, 3, 128, 128]` in [0, 1]."""
        crops = []
        for look in looks:
            part = self.pictures[int(rng.integers(len(self.pictures)))]
            side = int(rng.integers(REFERENCE_SIDE, part.shape[2] + 1))
            y, x = rng.integers(0, part.shape[2] - side + 1, 2)
            crop = torch.from_numpy(part[int(rng.integers(len(part))), look, y : y + side, x : x + side].copy())
            crop = crop.to(self.device).permute(2, 0, 1)[None].float() / 255
            crops.append(F.interpolate(crop, (REFERENCE_SIDE,) * 2, mode="bilinear", antialias=True)[0])
        return torch.stack(crops)

    def _maps(self, rows: list[Row], side: int) -> dict[str, torch.Tensor]:
        """Lines, stroke field and cells as one map; depth as another."""
        lines, depth = (self._stack(arrays, rows, side) for arrays in (self.lines, self.depth))
        field = self._stack(self.fields, rows, side, lambda row: 0)
        cells = self._stack(self.fields, rows, side, lambda row: int(self.kinds[row.look]))
        celled = torch.tensor([self.kinds[row.look] > 0 for row in rows], device=self.device).view(-1, 1, 1, 1)
        return {"strokes": torch.cat([lines, field, cells * celled], 1), "depth": depth.expand(-1, 3, -1, -1)}

    def _stack(
        self, arrays: list[np.ndarray], rows: list[Row], side: int, column: Callable[[Row], int] | None = None
    ) -> torch.Tensor:
        """Windows of an array, `[B, C, side, side]` in [0, 1]."""
        cut = []
        for row in rows:
            picture = arrays[row.part][row.photo] if column is None else arrays[row.part][row.photo, column(row)]
            window = picture[row.y : row.y + side, row.x : row.x + side]
            cut.append(window[None] if window.ndim == 2 else window.transpose(2, 0, 1))
        return torch.from_numpy(np.stack(cut)).to(self.device).float() / 255


@dataclass(frozen=True)
class Row:
    """One window: of which file and photo, in which look, and where."""

    part: int
    photo: int
    look: int
    y: int
    x: int
