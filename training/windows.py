"""Random windows of the renditions: photo, rendition, maps, prompts, references."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import CLIPTokenizer

import prompts
import tones
from data import recolour, send
from denoiser import REFERENCE_SIDE
from painters import CELLS
from pictures import FLAT
from stylize.structure.stroke_maps import CELL_KINDS

REFERRED, UNPROMPTED, TONED = 0.25, 0.4, 0.25
"""Shares of the batches with references, of the photos whose prompt names no look, and of the windows with a tone."""
HANDED = 0.6
"""Share of the references that are paintings, whose hand is that of the nearest look; the others are renditions."""
HARD = ("gouache", "pop-art", "noir", "chalkboard", "paper-cut", "risograph")
LESS_HARD = (
    "stained-glass", "impressionist", "pointillism", "pixel-art", "charcoal", "photo", "neon", "thermal", "crayon",
    "comic",
)  # fmt: skip
OFTEN = dict.fromkeys(HARD, 3.0) | dict.fromkeys(LESS_HARD, 1.5)
"""How often a look is drawn, where not once in its turn."""
FLAT_SHARE = 0.06
"""Share of the windows that are of flat pictures, beside those that are drawn by chance."""
PAINTED = 0.7
"""Share of the references of `draw_styles` that are paintings; the others are renditions."""
GRID, MOVED = 8, 2
"""Windows begin at patches; two of a pair lie up to so many patches apart."""
TEXTS = 64
"""Prompts for each look and tone."""


@dataclass
class Batch:
    """Windows of a batch; of a pair the first half are the ones that are read."""

    source: torch.Tensor
    """`[B, 3, P, P]` in [-1, 1], as is the target."""
    target: torch.Tensor
    maps: dict[str, torch.Tensor]
    """`[B, 3, P, P]` in [0, 1] by control."""
    tokens: torch.Tensor
    references: torch.Tensor | None = None
    """`[B, 3, 256, 256]` in [-1, 1]."""
    paired: bool = False
    styles: torch.Tensor | None = None
    """The references as they are, `[B, 3, 384, 384]` in [0, 1], where the target is to be like them."""


@dataclass(frozen=True)
class Rows:
    """Windows, a number each: of which picture, in which look, and where."""

    photo: np.ndarray
    look: np.ndarray
    y: np.ndarray
    x: np.ndarray


class Windows:
    """All renditions with their maps: in the GPU's memory, or in files that are mapped into memory."""

    def __init__(self, work: Path, tokenizer: CLIPTokenizer, device: torch.device) -> None:
        self.device = device
        for name, stage in (("pictures", "renditions"), ("hands", "hands")):
            if not (work / f"{name}.npy").exists():
                raise SystemExit(f"no {name} in {work}: run training/{stage}.py first")
        self.looks = (work / "looks.txt").read_text().split()
        self.pictures, self.fields, self.lines, self.depth, self.paintings = (
            torch.from_numpy(np.load(work / f"{name}.npy", mmap_mode="c")).to(device)
            for name in ("pictures", "fields", "lines", "depth", "paintings")
        )
        self.hands = np.load(work / "hands.npy")  # the look of each painting, by its number
        often = np.array([OFTEN.get(look, 1.0) for look in self.looks])
        self.often = often / often.sum()
        self.kinds = np.array([1 + CELL_KINDS.index(CELLS[k]) if k in CELLS else 0 for k in self.looks])
        self.referable = np.flatnonzero(self.kinds[1:] == 0) + 1
        self.texts = _tokenized(self.looks, tokenizer).to(device)

    def draw(self, rng: np.random.Generator, count: int, side: int, *, paired: bool) -> Batch:
        """Random windows of `side` x `side` pixels; of a pair, the second shows the same photo a little moved."""
        times = 2 if paired else 1
        own = count // times
        referred = not paired and rng.random() < REFERRED
        rows = self._choose(rng, own, side, self.referable if referred else None)
        references = None
        if referred:
            rows, references = self._refer(rng, rows)
        both = self._and_moved(rng, rows, side) if paired else rows
        source, target = (self._cut(self.pictures, both, side, column) for column in (0, both.look))
        tone = np.where(rng.random(own) < TONED, rng.integers(1, 1 + len(tones.TONES), own), 0)
        for number in np.unique(tone[tone > 0]):
            which = self._index(np.flatnonzero(np.tile(tone, times) == number))
            target[which] = list(tones.TONES.values())[number - 1](target[which])
        named = ~((rows.look == 0) & (rng.random(own) < UNPROMPTED)) & (not referred)
        tokens = self._tokens(rng, np.where(named, rows.look, len(self.looks)), tone)
        maps = self._maps(both, side)
        return Batch(source * 2 - 1, target * 2 - 1, maps, tokens.repeat(times, 1), references, paired)

    def _refer(self, rng: np.random.Generator, rows: Rows) -> tuple[Rows, torch.Tensor]:
        """References for the windows, in any colours: those of a result are given by its tones later."""
        painted = rng.random(len(rows.look)) < HANDED
        chosen = rng.integers(len(self.paintings), size=len(painted))
        rows = replace(rows, look=np.where(painted, self.hands[chosen], rows.look))
        pictures = self._renditions(rng, rows.look)
        pictures[self._index(np.flatnonzero(painted))] = _to_unit(self.paintings[self._index(chosen[painted])])
        return rows, _shrunk(recolour(len(painted))(pictures)) * 2 - 1

    def draw_styles(self, rng: np.random.Generator, count: int, side: int) -> Batch:
        """Random windows of photos that are to become like paintings, or like renditions in new colours."""
        rows = self._choose(rng, count, side, np.array([0]))
        painted = round(count * PAINTED)
        chosen = self._index(rng.integers(len(self.paintings), size=painted))
        looks = rng.integers(1, len(self.looks), count - painted)
        styles = torch.cat([_to_unit(self.paintings[chosen]), self._renditions(rng, looks)])
        styles = recolour(count)(styles)
        source = self._cut(self.pictures, rows, side, 0) * 2 - 1
        tokens = self._tokens(rng, np.full(count, len(self.looks)), np.zeros(count, int))
        return Batch(source, source, self._maps(rows, side), tokens, _shrunk(styles) * 2 - 1, styles=styles)

    def _choose(self, rng: np.random.Generator, count: int, side: int, looks: np.ndarray | None) -> Rows:
        photos = len(self.pictures)
        # the flat ones are the last: nothing hides a fault there
        first = np.where(rng.random(count) < FLAT_SHARE, max(0, photos - FLAT), 0)
        look = rng.choice(looks, count) if looks is not None else rng.choice(len(self.looks), count, p=self.often)
        y, x = GRID * rng.integers(0, (self.pictures.shape[2] - side) // GRID + 1, (2, count))
        return Rows(rng.integers(first, photos), look, y, x)

    def _and_moved(self, rng: np.random.Generator, rows: Rows, side: int) -> Rows:
        limit = self.pictures.shape[2] - side
        y, x = (np.clip(p + GRID * rng.integers(-MOVED, MOVED + 1, len(p)), 0, limit) for p in (rows.y, rows.x))
        one, other = (rows.photo, rows.look, rows.y, rows.x), (rows.photo, rows.look, y, x)
        return Rows(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))

    def _tokens(self, rng: np.random.Generator, look: np.ndarray, tone: np.ndarray) -> torch.Tensor:
        return self.texts[self._index(look), self._index(tone), self._index(rng.integers(TEXTS, size=len(look)))]

    def _renditions(self, rng: np.random.Generator, looks: np.ndarray) -> torch.Tensor:
        """Whole pictures in these looks, `[B, 3, 384, 384]` in [0, 1]."""
        photo = self._index(rng.integers(len(self.pictures), size=len(looks)))
        return _to_unit(self.pictures[photo, self._index(looks)])

    def _maps(self, rows: Rows, side: int) -> dict[str, torch.Tensor]:
        """Lines, stroke field and cells as one map; depth as another."""
        lines, depth = (self._cut(array[:, None], rows, side, 0) for array in (self.lines, self.depth))
        kinds = self.kinds[rows.look]
        field, cells = (self._cut(self.fields, rows, side, column) for column in (0, kinds))
        celled = self._index(kinds > 0).view(-1, 1, 1, 1)
        return {"strokes": torch.cat([lines, field, cells * celled], 1), "depth": depth.expand(-1, 3, -1, -1)}

    def _cut(self, array: torch.Tensor, rows: Rows, side: int, column: np.ndarray | int) -> torch.Tensor:
        """Windows of an array, `[B, C, side, side]` in [0, 1]."""
        along = torch.arange(side, device=self.device)
        y = self._index(rows.y).view(-1, 1, 1) + along.view(1, -1, 1)
        x = self._index(rows.x).view(-1, 1, 1) + along.view(1, 1, -1)
        columns = column if isinstance(column, int) else self._index(column).view(-1, 1, 1)
        return _to_unit(array[self._index(rows.photo).view(-1, 1, 1), columns, y, x])

    def _index(self, numbers: np.ndarray) -> torch.Tensor:
        return send(torch.from_numpy(numbers), self.device)


def _to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes `[B, H, W]` or `[B, H, W, 3]` to `[B, C, H, W]` in [0, 1]."""
    return (pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).float() / 255


def _shrunk(pixels: torch.Tensor) -> torch.Tensor:
    return F.interpolate(pixels, (REFERENCE_SIDE,) * 2, mode="bilinear", antialias=True)


def _tokenized(looks: list[str], tokenizer: CLIPTokenizer) -> torch.Tensor:
    """Prompts for each look, and for none, in each tone, and in none: `[1 + L, 1 + T, TEXTS, 32]`."""
    rng = np.random.default_rng(0)
    words = [[""] * TEXTS, *([tone.words[k % len(tone.words)] for k in range(TEXTS)] for tone in tones.TONES.values())]
    texts = [prompts.sample(look, rng, toned) for look in looks for some in words for toned in some]
    texts += [toned for some in words for toned in some]
    rows = tokenizer(texts, padding="max_length", truncation=True, max_length=32)["input_ids"]
    return torch.tensor(rows).view(len(looks) + 1, len(words), TEXTS, -1)
