"""Words for palette, light, season and time of day, and the colour grading that each stands for.

Results are graded after the networks; these learn tones too, for negative prompts.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from stylize.finish.grades import LESS_BLUE, LESS_GREEN, LUMA, Grade


@dataclass(frozen=True)
class Tone:
    """The words for a grade."""

    words: tuple[str, ...]
    grade: Grade

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """The grade of `[..., 3, H, W]` in [0, 1], as `Grade.apply`, on any device."""
        grade = self.grade
        luma, gain, offset = (_constant(x, pixels.device) for x in (LUMA, grade.gain, grade.offset))
        gray = (pixels * luma).sum(-3, keepdim=True)
        toned = gray + grade.saturation * (pixels - gray)
        if grade.swap:
            red, green, blue = toned.unbind(-3)
            moved = grade.swap * (green - blue).clamp(min=0)
            toned = torch.stack([red + moved, green - LESS_GREEN * moved, blue - LESS_BLUE * moved], -3)
        return (toned * gain + offset).clamp(0, 1) ** grade.gamma


@functools.cache
def _constant(values: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, device=device).view(3, 1, 1)


TONES: dict[str, Tone] = {
    "warm": Tone(("warm colours", "warm tones", "warm light", "warm"), Grade((1.1, 1.0, 0.76), (0.03, 0.01, 0))),
    "golden": Tone(
        ("golden hour", "golden light", "evening sun", "golden"),
        Grade((1.12, 0.98, 0.6), (0.08, 0.05, 0.0)),
    ),
    "sunset": Tone(("sunset", "sunset colours", "at dusk", "red sky"), Grade((1.05, 0.72, 0.68), (0.12, 0.0, 0.06))),
    "cold": Tone(("cold colours", "cool tones", "cold light", "cold"), Grade((0.8, 0.96, 1.1), (0, 0.02, 0.06))),
    "blue": Tone(("blue tones", "in blue", "blue"), Grade((0.62, 0.84, 1.15), (0, 0.02, 0.12), 0.55)),
    "night": Tone(
        ("at night", "night", "moonlight", "nocturne"),
        Grade((0.5, 0.58, 0.88), (0, 0.0, 0.03), 0.7, 1.35),
    ),
    "autumn": Tone(("autumn colours", "autumn", "fall colours", "in fall"), Grade((1, 0.98, 0.75), swap=0.75)),
    "winter": Tone(("winter", "winter light", "frosty", "snowy"), Grade((0.92, 0.98, 1.02), (0.08, 0.09, 0.11), 0.4)),
    "spring": Tone(
        ("spring", "spring colours", "fresh green"),
        Grade((0.95, 1.05, 0.9), (0.06, 0.09, 0.04), 1.2, 0.9),
    ),
    "summer": Tone(
        ("summer", "summer light", "sunny", "bright sunlight"),
        Grade((1.08, 1.04, 0.9), (0.04, 0.03, 0), 1.35),
    ),
    "morning": Tone(
        ("soft morning light", "morning light", "dawn", "soft light"),
        Grade((0.72, 0.7, 0.66), (0.26, 0.22, 0.17), 0.85),
    ),
    "pastel": Tone(
        ("pastel colours", "pastel tones", "pale colours"),
        Grade((0.58, 0.58, 0.6), (0.36, 0.35, 0.36), 0.9),
    ),
    "vivid": Tone(("vivid colours", "vibrant", "saturated colours", "bright colours"), Grade(saturation=1.9)),
    "muted": Tone(
        ("muted colours", "faded colours", "faded", "desaturated"),
        Grade((0.85, 0.85, 0.85), (0.07,) * 3, 0.4),
    ),
    "monochrome": Tone(("black and white", "monochrome", "grayscale", "greyscale"), Grade(saturation=0.0)),
    "dark": Tone(("dark", "moody", "dramatic light", "gloomy"), Grade((0.85, 0.85, 0.88), gamma=1.6)),
    "bright": Tone(("bright", "high key", "airy"), Grade(gamma=0.6)),
    "foggy": Tone(("foggy", "misty", "in fog", "hazy"), Grade((0.45, 0.45, 0.45), (0.43, 0.44, 0.46), 0.5)),
    "red": Tone(("red tones", "in red"), Grade((1.15, 0.66, 0.6), (0.12, 0.02, 0.02), 0.4)),
    "green": Tone(("green tones", "in green"), Grade((0.7, 1.08, 0.68), (0.0, 0.09, 0.02), 0.4)),
    "purple": Tone(("purple tones", "in purple", "violet tones"), Grade((0.9, 0.64, 1.1), (0.06, 0, 0.12), 0.45)),
}  # fmt: skip
