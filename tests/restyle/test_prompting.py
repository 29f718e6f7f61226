"""What a prompt and a reference picture become: known words, one warning, image-prompt tokens."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media import picture
from stylize import Clip, ModelError, Style, StyleError, Stylizer
from stylize.decode import read_picture
from stylize.errors import PromptWarning
from stylize.models.loading import load_networks
from stylize.networks import Networks, PromptEmbedding
from stylize.networks.vocabulary import Vocabulary
from stylize.restyle.prompting import prompt_for
from tiny_models import add_image_prompt, build_tiny_model

VOCABULARY = Vocabulary(
    looks={"photo": ("photo",), "ink": ("ink drawing", "pen and ink"), "ukiyo-e": ("ukiyo-e", "japanese print")},
    tones={"night": ("at night",)},
    words=frozenset(
        [
            "photo",
            "ink",
            "drawing",
            "pen",
            "and",
            "ukiyo-e",
            "japanese",
            "print",
            "at",
            "night",
            "of",
            "a",
            "bird",
            "in",
        ]
    ),
)
KNOWN, UNKNOWN = sorted(VOCABULARY.words), ["zebra", "klimt", "x9", "é"]


@given(st.lists(st.sampled_from(KNOWN + UNKNOWN), max_size=12))
def test_known_words_stay_in_order_and_unknown_ones_are_named_once(words: list[str]) -> None:
    reading = VOCABULARY.read(" ".join(words))
    assert reading.text.split() == [w for w in words if w in VOCABULARY.words]
    assert list(reading.unknown) == list(dict.fromkeys(w for w in words if w not in VOCABULARY.words))
    assert VOCABULARY.read(reading.text).unknown == ()


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("INK DRAWING of a bird", True), ("a bird, pen and ink.", True), ("Japanese   print", True),
        ("ukiyo-e", True), ("a drawing in pen", False), ("", False), ("inkdrawing", False),
    ],
)  # fmt: skip
def test_a_look_is_named_by_any_of_its_phrases(prompt: str, names: bool) -> None:
    assert VOCABULARY.read(prompt).names_look is names


def test_quotes_and_dashes_hide_no_unknown_word() -> None:
    reading = VOCABULARY.read("'zebra' -klimt _x9_ \"ukiyo-e\"")
    assert reading.unknown == ("zebra", "klimt", "x9") and reading.text == "ukiyo-e"


def test_punctuation_stays_where_it_was() -> None:
    assert VOCABULARY.read("Ink drawing, zebra, at night!").text == "ink drawing,, at night!"


def embed(networks: Networks, style: Style, *, guided: bool) -> PromptEmbedding:
    """What a style becomes, its reference read as a run does."""
    reference = None if style.reference is None else read_picture(style.reference)
    return prompt_for(networks, style, reference, guided=guided)


@pytest.fixture
def taught(tiny: Networks) -> Networks:
    """The tiny model with a vocabulary."""
    return replace(tiny, vocabulary=VOCABULARY)


def test_one_warning_names_the_unknown_words_and_what_is_known(taught: Networks) -> None:
    with pytest.warns(PromptWarning) as caught:
        got = embed(taught, Style(prompt="klimt ink drawing", negative_prompt="zebra"), guided=True).words
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "'klimt', 'zebra'" in text and "ukiyo-e" in text and "night" in text and "stays" not in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(got, embed(taught, Style(prompt="ink drawing"), guided=True).words)


def test_without_a_known_look_the_picture_stays_a_photo(taught: Networks) -> None:
    with pytest.warns(PromptWarning, match="stays a photo"):
        got = embed(taught, Style(prompt="klimt"), guided=False).words
    assert torch.equal(got, embed(taught, Style(prompt="photo"), guided=False).words)
    toned = embed(taught, Style(prompt="at night"), guided=False).words  # a tone alone is no mistake
    assert torch.equal(toned, embed(taught, Style(prompt="photo, at night"), guided=False).words)


def test_graded_tones_are_not_said_to_the_networks_unless_paintings_lead(taught: Networks, tmp_path: Path) -> None:
    graded = replace(taught, vocabulary=replace(VOCABULARY, grades={"night": {"gamma": 1.4}}))
    said = Style(prompt="ink drawing at night", keyframes={Fraction(0): tmp_path / "painted.png"})
    unsaid = replace(said, keyframes=None)
    plain, toned = (embed(graded, Style(prompt=p), guided=False).words for p in ("ink drawing", "ink drawing at night"))
    assert torch.equal(embed(graded, unsaid, guided=False).words, plain) and torch.equal(toned, plain)
    assert not torch.equal(prompt_for(graded, said, None, guided=False).words, plain)
    assert torch.equal(prompt_for(graded, said, None, guided=False).words, embed(taught, unsaid, guided=False).words)


def test_a_general_model_reads_every_word(tiny: Networks) -> None:
    one, other = (embed(tiny, Style(prompt=p), guided=False).words for p in ("klimt", "photo"))
    assert not torch.equal(one, other)


@pytest.fixture(scope="module")
def seeing_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_image_prompt(build_tiny_model(tmp_path_factory.mktemp("models") / "seeing"))


@pytest.fixture(scope="module")
def seeing(seeing_model: Path) -> Networks:
    """A tiny model that reads references."""
    return load_networks(seeing_model, device="cpu", dtype=torch.float32)


@pytest.fixture
def paintings(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / "one.png", tmp_path / "other.jpg"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
    return paths


def test_reference_tokens_follow_the_words(seeing: Networks, paintings: list[Path]) -> None:
    words = embed(seeing, Style(prompt="ink"), guided=False).words
    both = embed(seeing, Style(prompt="ink", reference=paintings[0]), guided=False).words
    assert both.shape[1] == words.shape[1] + 4
    assert torch.equal(both[:, :-4], words)


def test_the_weight_leads_from_nothing_to_the_reference(seeing: Networks, paintings: list[Path]) -> None:
    def at(weight: float) -> torch.Tensor:
        style = Style(prompt="ink", reference=paintings[0], reference_weight=weight)
        return embed(seeing, style, guided=False).words

    assert torch.equal(at(0), embed(seeing, Style(prompt="ink"), guided=False).words)
    quarter, half, whole = (at(w)[:, -4:] for w in (0.25, 0.5, 1.0))
    assert torch.allclose(half - quarter, (whole - quarter) / 3, atol=1e-5)


def test_guidance_is_away_from_no_reference(seeing: Networks, paintings: list[Path]) -> None:
    style = Style(prompt="ink", negative_prompt="photo", reference=paintings[0], guidance_scale=2.0)
    negative, positive = embed(seeing, style, guided=True).words
    assert negative.shape == positive.shape
    assert torch.equal(negative[-4:], negative[-8:-4])  # padding goes on


def test_another_reference_gives_other_frames(seeing: Networks, paintings: list[Path]) -> None:
    clip = Clip(picture(0)[None], (Fraction(0),), (Fraction(1, 25),))
    one, other = (next(Stylizer(seeing).stream([clip], Style(reference=path))).frames for path in paintings)
    assert not np.array_equal(one, other)


def test_a_reference_is_read_upright(seeing: Networks, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    turned = Image.fromarray(np.rot90(pixels).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be shown turned clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    one, other = (
        embed(seeing, Style(reference=tmp_path / name), guided=False).words for name in ("plain.png", "turned.png")
    )
    assert torch.equal(one, other)


def test_no_look_at_all_is_refused() -> None:
    with pytest.raises(StyleError, match="the prompt is empty"):
        Style(prompt=" ")


def test_a_model_that_reads_no_references_says_so(tiny: Networks, paintings: list[Path]) -> None:
    with pytest.raises(ModelError, match="reads no reference picture"):
        embed(tiny, Style(prompt="ink", reference=paintings[0]), guided=False)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off"])
def test_a_reference_that_is_no_picture(seeing: Networks, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ref.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StyleError, match=r"ref\.png: (no such|cannot be read)"):
        embed(seeing, Style(reference=path), guided=False)


@pytest.mark.parametrize("part", ["image_encoder", "feature_extractor", "ip_adapter"])
def test_an_incomplete_image_prompt_is_said(seeing_model: Path, tmp_path: Path, part: str) -> None:
    import shutil

    folder = shutil.copytree(seeing_model, tmp_path / "model")
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match="its image prompt cannot be loaded"):
        load_networks(folder, device="cpu", dtype=torch.float32)
