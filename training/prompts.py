"""The words for each look, and random prompts made of them.

Words that are no look (what is in the picture, filler) appear in the prompts too, so that the text encoder learns to
ignore them: the forms come from the controls, the words say how to draw them.
"""

from __future__ import annotations

import re

import numpy as np

from tones import TONES

LOOKS: dict[str, tuple[str, ...]] = {
    "photo": ("photo", "photograph", "realistic photo", "natural colours", "realistic", "film still"),
    "watercolour": ("watercolour", "watercolor", "watercolour painting", "watercolor painting", "aquarelle",
                    "watercolour on paper", "wet wash painting"),
    "oil": ("oil painting", "oil on canvas", "thick brush strokes", "oil paint", "impasto", "old master painting"),
    "pencil": ("pencil sketch", "pencil drawing", "graphite drawing", "pencil", "sketch", "fine pencil lines"),
    "ink": ("ink drawing", "pen and ink", "black ink", "line art", "ink", "black and white ink drawing", "manga"),
    "charcoal": ("charcoal drawing", "charcoal", "charcoal sketch", "smudged charcoal"),
    "cartoon": ("cartoon", "anime", "cel shading", "cartoon style", "cel shaded animation", "animated film"),
    "pop-art": ("pop art", "halftone", "halftone dots", "screen print", "pop art poster", "lichtenstein"),
    "mosaic": ("mosaic", "mosaic tiles", "roman mosaic", "ceramic tiles", "tile mosaic"),
    "pixel-art": ("pixel art", "8-bit game", "retro video game", "16-bit pixel art", "pixelated", "pixel graphics"),
    "neon": ("neon", "cyberpunk", "neon cyberpunk night", "neon lights", "synthwave", "glowing neon lines",
             "vaporwave"),
    "woodcut": ("woodcut", "wood engraving", "woodcut print", "block print in black ink", "carved in wood"),
    "stained-glass": ("stained glass", "stained glass window", "church window", "leaded glass", "cathedral glass"),
    "vintage": ("vintage photo", "sepia", "old photograph", "sepia photograph", "daguerreotype", "antique photo"),
    "blueprint": ("blueprint", "technical drawing", "white lines on blue", "blueprint drawing", "architect's plan"),
    "etching": ("etching", "engraving", "copperplate engraving", "crosshatching", "cross-hatched drawing", "banknote"),
    "paper-cut": ("paper cut", "papercut", "paper cutout", "layered paper", "paper collage", "cut paper art"),
    "noir": ("film noir", "noir", "high contrast black and white", "stark shadows", "stencil", "graphic novel"),
    "thermal": ("thermal camera", "heat map", "infrared", "thermal imaging", "thermography"),
    "pointillism": ("pointillism", "pointillist painting", "seurat", "coloured dots", "signac", "dots of colour"),
    "chalkboard": ("chalkboard", "blackboard", "chalk drawing", "white chalk on a board", "chalk on blackboard"),
    "coloured-pencil": ("coloured pencil", "colored pencil", "colour pencil drawing", "coloured pencils",
                        "coloured pencil sketch"),
    "cyanotype": ("cyanotype", "prussian blue print", "blue photograph", "sun print", "cyanotype print"),
    "ukiyo-e": ("ukiyo-e", "ukiyo-e woodblock print", "japanese woodblock print", "hokusai", "the great wave",
                "hiroshige", "japanese print"),
    "van-gogh": ("van gogh", "starry night", "post-impressionist painting", "vincent van gogh",
                 "swirling brush strokes", "starry night painting"),
    "impressionist": ("impressionist painting", "impressionism", "impressionist", "monet", "renoir", "berthe morisot",
                      "dabbed garden painting"),
    "gouache": ("gouache", "gouache painting", "poster paint", "tempera", "matte painting"),
    "linocut": ("linocut", "lino print", "linocut in three colours", "reduction linocut", "lino cut poster"),
    "engraving": ("engraving on blue paper", "chiaroscuro drawing", "drawing on blue paper", "white heightening",
                  "silverpoint on blue paper"),
    "comic": ("comic book", "comic", "comic with hatching", "hatched comic", "superhero comic", "bande dessinee"),
    "crayon": ("crayon", "crayon drawing", "wax crayon", "oil pastel", "child's drawing"),
    "pastel": ("pastel drawing", "soft pastels", "chalk pastels", "pastel painting", "dry pastels"),
    "fresco": ("fresco", "fresco painting", "wall painting", "cracked plaster", "renaissance fresco"),
    "risograph": ("risograph", "riso print", "risograph print", "two-colour print", "zine print"),
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


TONED = ("{prompt}, {tone}", "{prompt}, {tone}", "{prompt} in {tone}", "{tone}, {prompt}", "{tone} {prompt}")


def sample(look: str, rng: np.random.Generator, tone: str = "") -> str:
    """A random prompt that asks for `look`, and for the tone if there is one."""
    words = LOOKS[look][rng.integers(len(LOOKS[look]))]
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    prompt = template.format(look=words, content=CONTENT[rng.integers(len(CONTENT))])
    prompt = TONED[rng.integers(len(TONED))].format(prompt=prompt, tone=tone) if tone else prompt
    return american(prompt) if rng.random() < 0.3 else prompt


def american(text: str) -> str:
    return text.replace("colour", "color").replace("greyscale", "grayscale")


def texts() -> list[str]:
    """Every phrase that a prompt can be made of."""
    phrases = [w for words in LOOKS.values() for w in words] + [w for tone in TONES.values() for w in tone.words]
    frames = [t.format(look="", content="", prompt="", tone="") for t in TEMPLATES + TONED]
    british = phrases + list(CONTENT) + frames
    return british + [american(text) for text in british if american(text) != text]


def vocabulary() -> list[str]:
    """Every word that the model was taught, sorted."""
    return sorted({word for text in texts() for word in re.findall(r"[a-z0-9'-]+", text.lower())})


def corpus() -> list[str]:
    """The phrases often enough for each word to become one token."""
    return texts() * 20
