"""The words for each look, and random prompts made of them.

Words that are no look (what is in the picture, filler) appear in the prompts too, so that the text encoder learns to
ignore them: the forms come from the controls, the words say how to draw them.
"""

from __future__ import annotations

import numpy as np

LOOKS: dict[str, tuple[str, ...]] = {
    "photo": ("photo", "photograph", "realistic photo", "natural colours", "realistic", "film still"),
    "watercolour": ("watercolour", "watercolor", "watercolour painting", "watercolor painting", "aquarelle",
                    "watercolour on paper", "wet wash painting"),
    "oil": ("oil painting", "oil on canvas", "thick brush strokes", "oil paint", "impasto", "old master painting"),
    "pencil": ("pencil sketch", "pencil drawing", "graphite drawing", "pencil", "sketch", "fine pencil lines"),
    "ink": ("ink drawing", "pen and ink", "black ink", "line art", "ink", "black and white ink drawing", "manga"),
    "charcoal": ("charcoal drawing", "charcoal", "charcoal sketch", "chalk and charcoal", "smudged charcoal"),
    "cartoon": ("cartoon", "anime", "cel shading", "comic book", "cartoon style", "cel shaded animation", "comic"),
    "pop-art": ("pop art", "halftone", "halftone dots", "screen print", "pop art poster", "lichtenstein"),
    "mosaic": ("mosaic", "mosaic tiles", "roman mosaic", "ceramic tiles", "tile mosaic"),
    "pixel-art": ("pixel art", "8-bit game", "retro video game", "16-bit pixel art", "pixelated", "pixel graphics"),
    "neon": ("neon", "cyberpunk", "neon cyberpunk night", "neon lights", "synthwave", "glowing neon lines",
             "vaporwave"),
    "woodcut": ("woodcut", "linocut", "wood engraving", "engraving", "woodcut print", "block print in black ink"),
    "stained-glass": ("stained glass", "stained glass window", "church window", "leaded glass", "cathedral glass"),
    "vintage": ("vintage photo", "sepia", "old photograph", "sepia photograph", "daguerreotype", "antique photo"),
    "blueprint": ("blueprint", "technical drawing", "white lines on blue", "cyanotype drawing", "architect's plan"),
    "ukiyo-e": ("ukiyo-e", "ukiyo-e woodblock print", "japanese woodblock print", "hokusai", "the great wave",
                "hiroshige", "japanese print"),
    "van-gogh": ("van gogh", "starry night", "post-impressionist painting", "vincent van gogh",
                 "swirling brush strokes", "starry night painting"),
    "impressionist": ("impressionist painting", "impressionism", "impressionist", "monet", "renoir", "berthe morisot",
                      "dabbed garden painting"),
}  # fmt: skip

CONTENT = (
    "a bird", "a parrot", "a person walking", "a woman", "a man", "a city at night", "mountains", "the sea", "a street",
    "a dog", "a cat", "a car", "trees", "a forest", "a house", "flowers", "a plant", "a rabbit", "a rocket", "clouds",
    "a bridge", "a boat", "a river", "people", "a child on a bicycle", "buildings", "a landscape", "a portrait", "snow",
    "a garden", "a tower", "an animal", "a field", "the sky", "a room", "a table", "a horse", "fish", "a castle",
    "rocks",
)  # fmt: skip

TEMPLATES = (
    "{look}", "{look}", "{look}", "{look} of {content}", "a {look}", "a {look} of {content}", "{content}, {look}",
    "{content} as a {look}", "{look} style", "in the style of {look}", "{content} in the style of {look}",
    "turn this into a {look}", "make it look like {look}", "{look}, highly detailed", "beautiful {look}, masterpiece",
)  # fmt: skip


def sample(look: str, rng: np.random.Generator) -> str:
    """A random prompt that asks for `look`."""
    words = LOOKS[look][rng.integers(len(LOOKS[look]))]
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(look=words, content=CONTENT[rng.integers(len(CONTENT))])


def corpus() -> list[str]:
    """Every word that a prompt can hold, often enough for each to become one token."""
    words = [w for looks in LOOKS.values() for w in looks]
    frames = [t.format(look="", content="") for t in TEMPLATES]
    return (words * 20) + (list(CONTENT) * 5) + frames * 5
