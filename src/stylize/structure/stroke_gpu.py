"""Stroke fields on a device: the same arithmetic as `strokes.draw_field`, in torch, equal within 2/255."""

from __future__ import annotations

import functools
import math

import torch
from torch.nn import functional as F

from stylize.motion.filters import blur_coarsely, download, gaussian_blur, pixel_places, resize, upload
from stylize.structure.sheets import SHEET, SHIFT, Floats, Sheets, weigh_octaves
from stylize.structure.strokes import BROAD, CONTRAST, FINE, LONG, NEIGHBOURHOOD, REACH, SHORT, DrawField

Octaves = list[tuple[int, torch.Tensor]]


def draw_on(name: str) -> DrawField:
    """Returns `strokes.draw_field`, computed on a device; geometry goes there, the field comes back.

    Args:
        name: of the device, such as "cuda:0".
    """
    device = torch.device(name)

    @functools.lru_cache(maxsize=1)
    def upload_sheets(sheets: Sheets) -> tuple[torch.Tensor, ...]:
        # what is read beyond the last pixel is the first one
        return tuple(
            F.pad(upload(sheet, device), (0, 1, 0, 1), mode="circular")
            for sheet in (sheets.broad, sheets.fine, sheets.turns)
        )

    @torch.inference_mode()
    def draw(
        shape: tuple[int, ...], sheets: Sheets, coordinates: Floats, level: Floats, forms: Floats
    ) -> tuple[Floats, Floats]:
        broad, fine, turns = upload_sheets(sheets)
        octaves = [(octave, upload(weight, device)) for octave, weight in weigh_octaves(level)]
        places = upload(coordinates, device)
        direction = _find_direction(upload(forms, device), _read_octaves(turns, places, octaves), shape)
        full, octaves = resize(places, shape), [(octave, resize(weight, shape)) for octave, weight in octaves]
        noise = torch.cat([_read_octaves(sheet, full, octaves) for sheet in (broad, fine)], 1)
        noise = _draw_along(noise, direction, REACH)
        long, short = (
            _draw_along(one, direction, (step,)) for one, step in zip(noise.chunk(2, 1), (LONG, SHORT), strict=True)
        )
        return download(_even(BROAD * long + FINE * short))[..., 0], download(direction)

    return draw


def _read_octaves(sheet: torch.Tensor, places: torch.Tensor, octaves: Octaves) -> torch.Tensor:
    """Does as `sheets.read_octaves`, of sheets with one row and column more, at places `[1, 2, H, W]`."""
    side = sheet.shape[-1] - 1
    scale = side / SHEET
    total = torch.zeros(1, sheet.shape[1], *places.shape[2:], device=sheet.device)
    for octave, weight in octaves:
        where = (places * (scale * 2.0**octave) + SHIFT * octave * scale) % side
        total += weight * _sample(sheet, where, "border")
    return total


def _draw_along(picture: torch.Tensor, direction: torch.Tensor, steps: tuple[float, ...]) -> torch.Tensor:
    """Does as `strokes.draw_along`."""
    grid = pixel_places(*picture.shape[2:], picture.device)
    for step in steps:
        ahead, behind = (_sample(picture, grid + side * direction, "reflection") for side in (step, -step))
        picture = (picture + ahead + behind) / 3
    return picture


def _sample(picture: torch.Tensor, places: torch.Tensor, beyond: str) -> torch.Tensor:
    """Reads a picture at places `[1, 2, H, W]`, x and y in pixels."""
    height, width = picture.shape[2:]
    # of a picture one pixel wide, there is only one place
    grid = torch.stack([places[:, 0] * (2 / max(width - 1, 1)), places[:, 1] * (2 / max(height - 1, 1))], -1) - 1
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode=beyond, align_corners=True)


def _find_direction(forms: torch.Tensor, turns: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Does as `strokes._find_direction`: unit vectors `[1, 2, H, W]`."""
    xx, xy, yy = forms.chunk(3, 1)
    across = torch.cat([yy - xx, -2 * xy], 1)
    length, total = across.norm(dim=1, keepdim=True), xx + yy
    edged = (1.6 * length / (total + 1e-4) * (4.5 * total.clamp(min=0).sqrt()).clamp(0, 1)).clamp(0, 1)
    x, y = turns.chunk(2, 1)
    flat = torch.cat([x * x - y * y, 2 * x * y], 1) / (x * x + y * y + 1e-6)
    twice = resize(gaussian_blur(edged * across / (length + 1e-6) + (1 - edged) * flat, 1.0), shape)
    # OpenCV's angles begin at 0, torch's at -pi: half of them differ in sense, which means nothing
    angle = torch.atan2(twice[:, 1], twice[:, 0]) % (2 * math.pi) / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def _even(values: torch.Tensor) -> torch.Tensor:
    """Does as `strokes._even`."""
    power = blur_coarsely(values * values, NEIGHBOURHOOD)
    return values * (CONTRAST / (power.clamp(min=0).sqrt() + 1e-4)).clamp(0.5, 2)
