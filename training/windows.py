"""Random windows of the renditions: photo, rendition, edges and depth, prompt or reference, and their latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

import prompts
import tones
from data import linear_encoder, renditions, to_tensor
from stylize.detectors import canny
from stylize.estimators import PocketDepth
from stylize.structure import DepthRange

LATENT_SCALE = 2.0  # brings the latents to a variance of about 1
UNPROMPTED, TONED, REFERRED = 0.08, 0.25, 0.4
PICTURED = 0.7
"""Share of the references that are style pictures; the others are another photo's rendition."""
RARE = ("photo", "vintage", "cyanotype", "thermal", "noir", "blueprint", "chalkboard", "paper-cut")
HARD = ("cartoon", "etching", "pixel-art", "pointillism", "ukiyo-e", "ink", "stained-glass", "van-gogh", "pencil")
NEW = ("cartoon", "pixel-art", "stained-glass", "ukiyo-e")
OFTEN = dict.fromkeys(RARE, 0.5) | dict.fromkeys(HARD, 1.6) | dict.fromkeys(NEW, 3.0)
"""How often a look is drawn, where not once in its turn."""
MOVES = 3
"""How far two windows of a pair lie apart at most, in latents."""


@dataclass
class Batch:
    """Latents `[B, 16, h, w]`, maps `[B, 3, 8 h, 8 w]` in [0, 1]; of a pair the anchors are the first half."""

    target: torch.Tensor
    source: torch.Tensor
    pixels: torch.Tensor
    """The target before it was encoded, `[B, 3, 8 h, 8 w]` in [0, 1]."""
    canny: torch.Tensor
    depth: torch.Tensor
    prompts: list[str]
    looks: torch.Tensor
    """Index of the look; -1 for a style picture's."""
    references: torch.Tensor | None
    """`[B, 3, 128, 128]` in [-1, 1]."""
    styles: torch.Tensor | None
    """What the teacher sees in the references, `[B, 100]`, each number with variance 1; NaN for a look's."""
    paired: bool


class Windows:
    """All renditions, as files mapped into memory, with the maps of their photos."""

    def __init__(self, work: Path) -> None:
        self.pictures, self.looks = renditions(work)
        names = sorted(work.glob("renditions-*.npy"))
        self.styles = [np.load(p.with_name(p.name.replace("renditions", "styles"))) for p in names]
        self.styles_seen = whitened([np.load(p.with_name(p.name.replace("renditions", "vectors"))) for p in names])
        counts = [p.with_name(p.name.replace("renditions", "frames")).with_suffix(".txt") for p in names]
        self.photos = [len(a) - int(c.read_text()) for a, c in zip(self.pictures, counts, strict=True)]
        self.shares = np.array([len(a) for a in self.pictures]) / sum(map(len, self.pictures))
        often = np.array([OFTEN.get(look, 1.0) for look in self.looks])
        self.often = often / often.sum()
        self.kernel, self.bias = linear_encoder(AutoencoderTiny.from_pretrained(work / "vae"))
        self.edges, self.depth = self._maps(work)

    @torch.no_grad()
    def _maps(self, work: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of every photo, kept in `work/maps.npz` for the next run."""
        cache = work / "maps.npz"
        if cache.exists():
            stored = np.load(cache)
            parts = range(len(self.pictures))
            return [stored[f"edges{p}"] for p in parts], [stored[f"depth{p}"] for p in parts]
        estimate = PocketDepth(work / "depth", torch.device("cpu"))
        edges = [np.stack([bytes_of(canny(rows[0])) for rows in part]) for part in self.pictures]
        depth = [np.stack([depth_map(estimate(rows[0])) for rows in part]) for part in self.pictures]
        arrays = {f"edges{p}": e for p, e in enumerate(edges)} | {f"depth{p}": d for p, d in enumerate(depth)}
        np.savez(cache, **arrays)
        return edges, depth

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """`[B, 3, H, W]` in [0, 1] to scaled latents."""
        return LATENT_SCALE * (F.conv2d(pixels, self.kernel, stride=8) + self.bias)

    def draw(self, rng: np.random.Generator, batch: int, side: int, *, paired: bool) -> Batch:
        """Random windows of `side` x `side` latents; of a pair, the second shows the same photo moved, or later."""
        referred = rng.random() < REFERRED
        rows: list[tuple[torch.Tensor, ...]] = []
        later: list[tuple[torch.Tensor, ...]] = []
        texts, looks, references, styles = [], [], [], []
        for _ in range(batch // 2 if paired else batch):
            part = int(rng.choice(len(self.pictures), p=self.shares))
            i, j = int(rng.integers(len(self.pictures[part]))), int(rng.choice(len(self.looks), p=self.often))
            text, tone = self._text(rng, "" if referred else self.looks[j])
            if referred:
                reference, style, j = self._reference(rng, part, i, j)
                references.append(reference)
                styles.append(style)
            place = rng.integers(0, 48 - side + 1, 2)
            rows.append(self._window(part, i, j, place, side, tone))
            if paired:
                later.append(self._later(rng, part, i, j, place, side, tone))
            texts.append(text)
            looks.append(j if j < len(self.looks) else -1)
        target, source, canny, depth = map(torch.stack, zip(*rows, *later, strict=True))
        times = 2 if paired else 1
        return Batch(
            self.encode(target), self.encode(source), target, canny, depth, texts * times, torch.tensor(looks * times),
            torch.stack(references * times) if referred else None, torch.stack(styles * times) if referred else None,
            paired,
        )  # fmt: skip

    def _text(self, rng: np.random.Generator, look: str) -> tuple[str, tones.Tone | None]:
        words, tone = tones.sample(rng) if rng.random() < TONED else ("", None)
        if not look:
            return words, tone
        return ("", None) if rng.random() < UNPROMPTED else (prompts.sample(look, rng, words), tone)

    def _reference(self, rng: np.random.Generator, part: int, i: int, j: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """A picture in the style wanted, the teacher's view of it, and the column of the rendition in that style."""
        if rng.random() < PICTURED:
            k = int(rng.integers(self.pictures[part].shape[1] - len(self.looks)))
            picture, seen = self.styles[part][i, k], torch.from_numpy(self.styles_seen[part][i, k])
            return to_tensor(picture[None])[0], seen, len(self.looks) + k
        other = int(rng.integers(len(self.pictures[part])))
        side = int(rng.integers(128, 385))
        y, x = rng.integers(0, 384 - side + 1, 2)
        crop = cv2.resize(self.pictures[part][other, j, y : y + side, x : x + side], (128, 128), interpolation=3)
        return to_tensor(crop[None])[0], torch.full((self.styles_seen[part].shape[-1],), torch.nan), j

    def _later(
        self, rng: np.random.Generator, part: int, i: int, j: int, place: np.ndarray, side: int, tone: tones.Tone | None
    ) -> tuple[torch.Tensor, ...]:
        first_frame = self.photos[part]
        if i >= first_frame:  # frames come two and two
            return self._window(part, first_frame + ((i - first_frame) ^ 1), j, place, side, tone)
        moved = np.clip(place + rng.integers(-MOVES, MOVES + 1, 2), 0, 48 - side)
        return self._window(part, i, j, moved, side, tone)

    def _window(
        self, part: int, i: int, j: int, place: np.ndarray, side: int, tone: tones.Tone | None
    ) -> tuple[torch.Tensor, ...]:
        y, x = 8 * int(place[0]), 8 * int(place[1])
        pixels = np.s_[y : y + 8 * side, x : x + 8 * side]
        both = np.stack([self.pictures[part][i, j][pixels], self.pictures[part][i, 0][pixels]])
        target, source = torch.from_numpy(both).permute(0, 3, 1, 2).float().div(255)
        if tone is not None:
            target = tone(target)
        maps = (torch.from_numpy(m[part][i][pixels])[None].float().div(255) for m in (self.edges, self.depth))
        return target, source, *(m.expand(3, -1, -1) for m in maps)


def whitened(vectors: list[np.ndarray]) -> list[np.ndarray]:
    """Each number with mean 0 and variance 1 over all style pictures."""
    together = np.concatenate([v.reshape(-1, v.shape[-1]) for v in vectors])
    mean, deviation = together.mean(0), together.std(0) + 1e-4
    return [((v - mean) / deviation).astype(np.float32) for v in vectors]


def depth_map(raw: np.ndarray) -> np.ndarray:
    """As the first frame of a shot has it."""
    return bytes_of(DepthRange.after(None, raw).scaled(raw))


def bytes_of(unit: np.ndarray) -> np.ndarray:
    return np.round(255 * unit).astype(np.uint8)
