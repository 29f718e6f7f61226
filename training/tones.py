"""Words for palette, light, season and time of day, and the colour grading that each stands for."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Tone:
    """Saturation, then a gain and an offset a channel, then a gamma; on RGB in [0, 1]."""

    words: tuple[str, ...]
    gain: tuple[float, float, float] = (1, 1, 1)
    offset: tuple[float, float, float] = (0, 0, 0)
    saturation: float = 1.0
    gamma: float = 1.0
    swap: float = 0.0
    """How much of the green becomes red: leaves in autumn."""

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """`[..., 3, H, W]` in and out."""
        luma, gain, offset = (_constant(x, pixels.device) for x in (LUMA, self.gain, self.offset))
        gray = (pixels * luma).sum(-3, keepdim=True)
        toned = gray + self.saturation * (pixels - gray)
        if self.swap:
            red, green, blue = toned.unbind(-3)
            moved = self.swap * green
            toned = torch.stack([red + moved, green - 0.45 * moved, blue - 0.35 * moved], -3)
        return (toned * gain + offset).clamp(0, 1) ** self.gamma


@functools.cache
def _constant(values: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, device=device).view(3, 1, 1)


TONES: dict[str, Tone] = {
    "warm": Tone(("warm colours", "warm tones", "warm light", "warm"), (1.1, 1.0, 0.76), (0.03, 0.01, 0)),
    "golden": Tone(("golden hour", "golden light", "evening sun", "golden"), (1.12, 0.98, 0.6), (0.08, 0.05, 0.0)),
    "sunset": Tone(("sunset", "sunset colours", "at dusk", "red sky"), (1.05, 0.72, 0.68), (0.12, 0.0, 0.06)),
    "cold": Tone(("cold colours", "cool tones", "cold light", "cold"), (0.8, 0.96, 1.1), (0, 0.02, 0.06)),
    "blue": Tone(("blue tones", "in blue", "blue"), (0.62, 0.84, 1.15), (0, 0.02, 0.12), 0.55),
    "night": Tone(("at night", "night", "moonlight", "nocturne"), (0.5, 0.58, 0.88), (0, 0.0, 0.03), 0.7, 1.35),
    "autumn": Tone(("autumn colours", "autumn", "fall colours", "in fall"), (1, 0.98, 0.75), swap=0.32),
    "winter": Tone(("winter", "winter light", "frosty", "snowy"), (0.92, 0.98, 1.02), (0.08, 0.09, 0.11), 0.4),
    "spring": Tone(("spring", "spring colours", "fresh green"), (0.95, 1.05, 0.9), (0.06, 0.09, 0.04), 1.2, 0.9),
    "summer": Tone(("summer", "summer light", "sunny", "bright sunlight"), (1.08, 1.04, 0.9), (0.04, 0.03, 0), 1.35),
    "morning": Tone(("soft morning light", "morning light", "dawn", "soft light"), (0.72, 0.7, 0.66),
                    (0.26, 0.22, 0.17), 0.85),
    "pastel": Tone(("pastel colours", "pastel tones", "pale colours"), (0.58, 0.58, 0.6), (0.36, 0.35, 0.36), 0.9),
    "vivid": Tone(("vivid colours", "vibrant", "saturated colours", "bright colours"), saturation=1.9),
    "muted": Tone(("muted colours", "faded colours", "faded", "desaturated"), (0.85, 0.85, 0.85), (0.07,) * 3, 0.4),
    "monochrome": Tone(("black and white", "monochrome", "grayscale", "greyscale"), saturation=0.0),
    "dark": Tone(("dark", "moody", "dramatic light", "gloomy"), (0.85, 0.85, 0.88), gamma=1.6),
    "bright": Tone(("bright", "high key", "airy"), gamma=0.6),
    "foggy": Tone(("foggy", "misty", "in fog", "hazy"), (0.45, 0.45, 0.45), (0.43, 0.44, 0.46), 0.5),
    "red": Tone(("red tones", "in red"), (1.15, 0.66, 0.6), (0.12, 0.02, 0.02), 0.4),
    "green": Tone(("green tones", "in green"), (0.7, 1.08, 0.68), (0.0, 0.09, 0.02), 0.4),
    "purple": Tone(("purple tones", "in purple", "violet tones"), (0.9, 0.64, 1.1), (0.06, 0, 0.12), 0.45),
}  # fmt: skip
