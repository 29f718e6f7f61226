"""Random windows of the renditions: photo, rendition, edges and depth, prompt or reference, and their latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

import prompts
import tones
from data import linear_encoder, renditions, to_tensor
from stylize.structure import DepthRange, canny
from stylize.structure.depth import PocketDepth

LATENT_SCALE = 2.0  # brings the latents to a variance of about 1
UNPROMPTED, TONED, REFERRED = 0.08, 0.25, 0.45
PICTURED = 0.7
"""Share of the references that are style pictures; the others are another photo's rendition."""
RARE = ("photo", "vintage", "cyanotype", "thermal", "noir", "chalkboard", "paper-cut")
HARD = ("blueprint", "etching", "pixel-art", "pointillism", "ukiyo-e", "ink", "van-gogh", "pencil")
HARDEST = ("cartoon", "oil", "stained-glass")
OFTEN = dict.fromkeys(RARE, 0.5) | dict.fromkeys(HARD, 1.6) | dict.fromkeys(HARDEST, 2.5)
"""How often a look is drawn, where not once in its turn."""
MOVES = 3
"""How far two windows of a pair lie apart at most, in latents."""
SIDE, LATENTS, CROP = 384, 48, 128
"""Sides of a rendition in pixels and latents, and of a reference."""
BESIDE = ("styles", "vectors", "frames")
"""What lies beside each array of renditions."""


@dataclass
class Batch:
    """Latents `[B, 32, h, w]`, maps `[B, 3, 8 h, 8 w]` in [0, 1]; of a pair the anchors are the first half."""

    target: torch.Tensor
    source: torch.Tensor
    pixels: torch.Tensor
    """The target before it was encoded, `[B, 3, 8 h, 8 w]` in [0, 1]."""
    canny: torch.Tensor
    depth: torch.Tensor
    prompts: list[str]
    looks: torch.Tensor
    """Index of the look; -1 for a style picture's. Always on the CPU, where it is asked."""
    references: torch.Tensor | None
    """`[B, 3, 128, 128]` in [-1, 1]."""
    styles: torch.Tensor | None
    """What the teacher sees in style pictures, `[B, 100]`, each number with variance 1; else without a use."""
    paired: bool


class Windows:
    """All renditions with the maps of their photos: on a GPU in its memory, else as files mapped into memory."""

    def __init__(self, work: Path, device: torch.device) -> None:
        self.device = device
        arrays, self.looks = renditions(work)
        names = sorted(work.glob("renditions-*.npy"))
        beside = {kind: [p.with_name(p.name.replace("renditions", kind)) for p in names] for kind in BESIDE}
        self.pictures = [torch.from_numpy(a).to(device) for a in arrays]
        self.styles = [torch.from_numpy(np.load(p)).to(device) for p in beside["styles"]]
        seen = whitened([np.load(p) for p in beside["vectors"]])
        self.styles_seen = [torch.from_numpy(v).to(device) for v in seen]
        counts = [int(p.with_suffix(".txt").read_text()) for p in beside["frames"]]
        self.photos = [len(a) - count for a, count in zip(arrays, counts, strict=True)]
        self.shares = np.array([len(a) for a in arrays]) / sum(map(len, arrays))
        often = np.array([OFTEN.get(look, 1.0) for look in self.looks])
        self.often = often / often.sum()
        kernel, bias = linear_encoder(AutoencoderTiny.from_pretrained(work / "vae"))
        self.kernel, self.bias = kernel.to(device), bias.to(device)
        self.edges, self.depth = ([torch.from_numpy(m).to(device) for m in maps] for maps in self._maps(work, arrays))

    @torch.no_grad()
    def _maps(self, work: Path, arrays: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of every photo, kept in `work/maps.npz` for the next run."""
        cache = work / "maps.npz"
        if cache.exists():
            stored = np.load(cache)
            parts = range(len(arrays))
            return [stored[f"edges{p}"] for p in parts], [stored[f"depth{p}"] for p in parts]
        estimate = PocketDepth(work / "depth", self.device)
        edges = [np.stack([bytes_of(canny(rows[0])) for rows in part]) for part in arrays]
        depth = [np.stack([depth_map(estimate(rows[0])) for rows in part]) for part in arrays]
        stored = {f"edges{p}": e for p, e in enumerate(edges)} | {f"depth{p}": d for p, d in enumerate(depth)}
        np.savez(cache, **stored)
        return edges, depth

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """`[B, 3, H, W]` in [0, 1] to scaled latents."""
        return LATENT_SCALE * (F.conv2d(pixels, self.kernel, stride=8) + self.bias)

    def draw(self, rng: np.random.Generator, batch: int, side: int, *, paired: bool) -> Batch:
        """Random windows of `side` x `side` latents; of a pair, the second shows the same photo moved, or later."""
        referred = rng.random() < REFERRED
        part = int(rng.choice(len(self.pictures), p=self.shares))
        count = batch // 2 if paired else batch
        photos = rng.integers(len(self.pictures[part]), size=count)
        columns = rng.choice(len(self.looks), count, p=self.often)
        references, styles = None, None
        if referred:
            references, styles, columns = self._references(rng, part, photos, columns)
        asked = [self._text(rng, "" if referred else self.looks[j]) for j in columns]
        places = rng.integers(0, LATENTS - side + 1, (count, 2))
        if paired:
            later, moved = self._later(rng, part, photos, places, side)
            photos, places = np.concatenate([photos, later]), np.concatenate([places, moved])
        times = 2 if paired else 1
        columns, asked = np.tile(columns, times), asked * times
        rows = self._rows(photos, places, side)
        target = self._pixels(self.pictures[part], rows, columns)
        source = self._pixels(self.pictures[part], rows, np.zeros_like(columns))
        edges, depth = (m[part][rows].float().div(255)[:, None].expand(-1, 3, -1, -1) for m in (self.edges, self.depth))
        for tone in {tone for _, tone in asked if tone is not None}:
            chosen = [k for k, (_, other) in enumerate(asked) if other is tone]
            target[chosen] = tone(target[chosen])
        return Batch(
            self.encode(target), self.encode(source), target, edges, depth, [text for text, _ in asked],
            torch.from_numpy(np.where(columns < len(self.looks), columns, -1)),
            references if references is None else references.repeat(times, 1, 1, 1),
            styles if styles is None else styles.repeat(times, 1), paired,
        )  # fmt: skip

    def _text(self, rng: np.random.Generator, look: str) -> tuple[str, tones.Tone | None]:
        words, tone = tones.sample(rng) if rng.random() < TONED else ("", None)
        if not look:
            return words, tone
        return ("", None) if rng.random() < UNPROMPTED else (prompts.sample(look, rng, words), tone)

    def _references(
        self, rng: np.random.Generator, part: int, photos: np.ndarray, columns: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Pictures in the styles wanted, the teacher's view of them, and the columns of the renditions in them."""
        pictured = rng.random(len(photos)) < PICTURED
        chosen = rng.integers(self.pictures[part].shape[1] - len(self.looks), size=len(photos))
        others = rng.integers(len(self.pictures[part]), size=len(photos))
        side = int(rng.integers(CROP, SIDE + 1))
        y, x = rng.integers(0, SIDE - side + 1, 2)
        index = [torch.from_numpy(a).to(self.device) for a in (photos, chosen, others, columns, pictured)]
        shown, seen = self.styles[part][index[0], index[1]], self.styles_seen[part][index[0], index[1]]
        crops = self.pictures[part][:, :, y : y + side, x : x + side][index[2], index[3]]
        crops = F.interpolate(to_tensor(crops), (CROP, CROP), mode="bilinear", antialias=True)
        references = torch.where(index[4].view(-1, 1, 1, 1), to_tensor(shown), crops)
        return references, seen, np.where(pictured, len(self.looks) + chosen, columns)

    def _later(
        self, rng: np.random.Generator, part: int, photos: np.ndarray, places: np.ndarray, side: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Photos and places of the second windows of pairs: the neighbouring frame, or the same photo moved."""
        first = self.photos[part]
        frames = photos >= first  # they come two and two
        moved = np.clip(places + rng.integers(-MOVES, MOVES + 1, places.shape), 0, LATENTS - side)
        return np.where(frames, first + ((photos - first) ^ 1), photos), np.where(frames[:, None], places, moved)

    def _rows(self, photos: np.ndarray, places: np.ndarray, side: int) -> tuple[torch.Tensor, ...]:
        """What picks windows `[B, 8 side, 8 side]` out of maps `[N, 384, 384]`."""
        reach = torch.arange(8 * side, device=self.device)
        i, y, x = (torch.from_numpy(a.copy()).to(self.device)[:, None, None] for a in (photos, *(8 * places.T)))
        return i, y + reach[:, None], x + reach

    def _pixels(self, pictures: torch.Tensor, rows: tuple[torch.Tensor, ...], columns: np.ndarray) -> torch.Tensor:
        i, y, x = rows
        windows = pictures[i, torch.from_numpy(columns).to(self.device)[:, None, None], y, x]
        return windows.permute(0, 3, 1, 2).float().div(255)


def whitened(vectors: list[np.ndarray]) -> list[np.ndarray]:
    """Each number with mean 0 and variance 1 over all style pictures."""
    together = np.concatenate([v.reshape(-1, v.shape[-1]) for v in vectors])
    mean, deviation = together.mean(0), together.std(0) + 1e-4
    return [((v - mean) / deviation).astype(np.float32) for v in vectors]


def depth_map(raw: np.ndarray) -> np.ndarray:
    """As the first frame of a shot has it."""
    return bytes_of(DepthRange.after(None, raw).scale(raw))


def bytes_of(unit: np.ndarray) -> np.ndarray:
    return np.round(255 * unit).astype(np.uint8)
