"""What people ask for in odd ways, or in other tools' words: done right, or refused in one line; never half done."""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from command import run
from media import frames, make_video, picture
from stylize import ModelError, Style, StyleError, Stylizer, VideoError, VideoReader, VideoWriter
from stylize.decode import read_picture
from stylize.encode import check_output, choose_encoding
from stylize.errors import PromptWarning, VideoWarning
from stylize.models.loading import load_networks
from stylize.networks import Networks
from stylize.page.orders import Order
from stylize.restyle.prompting import prompt_for
from stylize.style import parse_timeline
from stylize.style.other_tools import translate
from stylize.style.parsing import parse_control, parse_rate, parse_weighted


@pytest.mark.parametrize("prompt", ["80s: neon synthwave", "1990s: anime; cel shading", "oil painting; 90s: VHS"])
def test_a_decade_is_no_second(prompt: str) -> None:
    assert parse_timeline(prompt) == [(Fraction(0), prompt)]


def test_the_first_second_is_zero() -> None:
    assert parse_timeline("0s: ink; 80s: oil") == [(Fraction(0), "ink"), (Fraction(80), "oil")]
    assert [at for at, _ in parse_timeline("10s: ink; 20s: oil")] == [10, 20]
    for prompt in ("4s: oil", "ink; 4s: oil"):
        with pytest.raises(StyleError, match="says no second for its beginning"):
            parse_timeline(prompt)


@pytest.mark.parametrize(
    ("given", "ours", "plain"),
    [
        ("(ink:1.3) drawing", "(ink)1.3 drawing", "ink drawing"),
        ("[ink] drawing", "(ink)0.9 drawing", "ink drawing"),
        ("ink <lora:ink:0.8> at night", "ink at night", "ink at night"),
        ("ink BREAK at night", "ink, at night", "ink, at night"),
        ("ink, (soft light)1.2", "ink, (soft light)1.2", "ink, (soft light)1.2"),
        ("salt and pepper, :), ((", "salt and pepper, :), ((", "salt and pepper, :), (("),
    ],
)
def test_words_of_other_tools(given: str, ours: str, plain: str) -> None:
    text, lines = translate(given)
    assert text == ours and bool(lines) == (given != ours)
    assert translate(given, weighted=False)[0] == plain


@pytest.mark.parametrize("prompt", ["a __style__ drawing", "a {red|blue} drawing"])
def test_choices_of_other_tools_are_refused(prompt: str) -> None:
    with pytest.raises(StyleError, match="a choice that another tool makes"):
        translate(prompt)


def test_weights_of_other_tools_count(tiny: Networks) -> None:
    with pytest.warns(PromptWarning, match="is read as '\\(ink\\)1.3'"):
        one = prompt_for(tiny, Style(prompt="(ink:1.3) drawing"), guided=False)
    other = prompt_for(tiny, Style(prompt="(ink)1.3 drawing"), guided=False)
    assert torch.equal(one.words, other.words)


def test_brackets_that_do_not_close(tiny: Networks) -> None:
    """Words or one line, also where compel reads a long prompt."""
    for prompt in ("(((ink", ":) ink", "ink " * 90 + "(", "ink " * 90 + ":) ((("):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert prompt_for(tiny, Style(prompt=prompt), guided=False).words.isfinite().all()
            except StyleError as error:
                assert "brackets" in str(error)


def test_a_tokenizer_that_names_no_length(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = folder / "tokenizer" / "tokenizer_config.json"
    known = json.loads(config.read_text())
    known.pop("model_max_length")
    config.write_text(json.dumps(known))
    networks = load_networks(folder, device="cpu")
    assert networks.encode_prompt("ink " * 10, "", guided=False).words.shape[1] <= 77


@pytest.mark.parametrize(("channels", "kind"), [(8, "pix2pix"), (5, "depth")])
def test_models_for_other_inputs(
    family_folder: Callable[[str], Path], tmp_path: Path, channels: int, kind: str
) -> None:
    import diffusers

    folder = shutil.copytree(family_folder("sd15"), tmp_path / "model")
    config = diffusers.UNet2DConditionModel.load_config(folder / "unet")
    shutil.rmtree(folder / "unet")
    diffusers.UNet2DConditionModel.from_config({**config, "in_channels": channels}).save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=kind):
        load_networks(folder, device="cpu")


@pytest.mark.parametrize("text", ["ink.safetensors:nan", "ink.safetensors:inf", "ink.safetensors:1e9"])
def test_weights_of_loras_are_numbers(text: str) -> None:
    with pytest.raises(StyleError, match="out of range"):
        parse_weighted(text)
    assert parse_weighted("ink.safetensors:-0.5") == ("ink.safetensors", -0.5)


def test_weights_of_controls_are_numbers() -> None:
    for text in ("depth:nan", "depth:1@0-inf"):
        with pytest.raises(StyleError, match="is not a control"):
            parse_control(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)), ("59.94", Fraction(60000, 1001)),
     ("24", Fraction(24)), ("12.5", Fraction(25, 2)), ("30000/1001", Fraction(30000, 1001)), ("29.5", Fraction(59, 2))],
)  # fmt: skip
def test_rates_as_people_write_them(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


def test_names_of_other_tools_point_to_ours(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"is read by '.*frame-\*\.png'"):
        VideoReader(tmp_path / "frame-%04d.png")
    make_video(tmp_path / "clip.mp4")
    for place in (tmp_path, tmp_path / "*.mp4"):
        with pytest.raises(VideoError, match="no pictures there, but videos"):
            VideoReader(place)
    assert VideoReader(bytes(tmp_path / "clip.mp4")).frame_count == 8


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "out.mp4", tmp_path / "out.mp4"
    link.symlink_to(target)
    assert check_output(link, source="in.mp4", force=False) == target
    target.write_bytes(b"old")
    with pytest.raises(VideoError, match="exists already"):
        check_output(link, source="in.mp4", force=False)


@pytest.mark.parametrize(
    ("codec", "size", "rate", "why"),
    [("av1", (64, 48), 300, "300 frames a second"), ("av1", (2, 2), 25, "2x2"), ("h265", (2, 2), 25, "2x2"),
     ("h265", (34, 20), 25, "34x20"), ("h265", (48, 16), 25, "48x16")],
)  # fmt: skip
def test_limits_of_encoders_are_told_before_the_work(codec: str, size: tuple[int, int], rate: int, why: str) -> None:
    with pytest.raises(VideoError, match=f"cannot hold {why}"):
        choose_encoding("out.mp4", size, codec=codec, rate=Fraction(rate))


def test_a_run_without_a_look_is_wrong_usage(tmp_path: Path) -> None:
    code, _, said = run("run", make_video(tmp_path / "in.mp4"), "-o", tmp_path / "out.mp4")
    assert code == 2 and "no look is asked for" in said
    assert not (tmp_path / "out.mp4").exists()


def test_long_names_on_the_page(tmp_path: Path) -> None:
    order = Order(tmp_path, tmp_path, "名" * 62 + ".mp4", tmp_path / "a.mp4", {"prompt": "水" * 23}, "pocket")
    assert len(order.output.name.encode()) + len(".unfinished") + 1 < 200
    assert check_output(order.output, source="a.mp4", force=False).name.startswith("名")


def exchanged() -> bytes:
    """The profile of sRGB with red and green exchanged."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return content.replace(b"rXYZ", b"tmp0").replace(b"gXYZ", b"rXYZ").replace(b"tmp0", b"gXYZ")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_colour_profiles(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "shots" / f"in{suffix}"
    path.parent.mkdir()
    Image.new("RGB", (32, 32), (200, 80, 40)).save(
        path, icc_profile=exchanged(), **({"quality": 100} if suffix == ".jpg" else {})
    )
    with VideoReader(path.parent) as reader:
        (clip,) = reader.clips()
    for pixel in (clip.frames[0, 5, 5], np.asarray(read_picture(path))[5, 5]):
        assert np.abs(pixel.astype(int) - (80, 200, 40)).max() <= 3


def test_a_usual_profile_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(picture(0)).save(
        path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert np.array_equal(np.asarray(read_picture(path)), picture(0))


def test_one_stylizer_and_two_threads(tiny: Networks, tmp_path: Path) -> None:
    stylizer, sizes = Stylizer(tiny, batch=1), ((64, 48), (48, 64))
    paths = [make_video(tmp_path / f"{i}.mp4", 6, width=w, height=h) for i, (w, h) in enumerate(sizes)]

    def convert(number: int, name: str) -> None:
        reports[name, number] = stylizer.convert(
            paths[number], tmp_path / f"{name}-{number}.mp4", Style(prompt="ink"), say=lambda _: None
        )

    reports: dict[tuple[str, int], object] = {}
    for i in range(2):
        convert(i, "alone")
    threads = [threading.Thread(target=convert, args=(i, "together")) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        one, other = reports["alone", i], reports["together", i]
        assert one.unet_evals_per_frame == other.unet_evals_per_frame and one.keyframes == other.keyframes  # type: ignore[attr-defined]
        assert np.array_equal(frames(tmp_path / f"alone-{i}.mp4"), frames(tmp_path / f"together-{i}.mp4"))


def test_a_prompt_that_is_too_long_for_the_built_in_model(capfd: pytest.CaptureFixture[str]) -> None:
    networks, long = load_networks("pocket", device="cpu"), "woodcut, " + "detailed lines, " * 40
    with pytest.warns(PromptWarning, match=r"its last \d+ words are left out"):
        words = prompt_for(networks, Style(long), guided=False)
    assert torch.isfinite(words.words).all()
    assert not capfd.readouterr().err


def test_clear_parts_of_a_reference_are_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    clear.paste((200, 40, 40, 255), (5, 2, 9, 6))
    clear.save(tmp_path / "logo.png")
    pixels = np.asarray(read_picture(tmp_path / "logo.png"))
    assert tuple(pixels[0, 0]) == (255, 255, 255) and tuple(pixels[3, 6]) == (200, 40, 40)


def test_an_odd_size_says_where_it_does_not_play(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 2, width=61, height=45, pixel_format="yuv444p")
    with (
        VideoReader(source) as reader,
        pytest.warns(VideoWarning, match=r"phones and QuickTime do not play: --size 62x46"),
        VideoWriter(tmp_path / "out.mp4", reader.info, reader.size) as writer,
    ):
        for clip in reader.clips():
            writer.write(clip)
