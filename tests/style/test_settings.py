"""Prompts over time, settings in files, and views of source and result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import run
from media import frames, make_video
from stylize import Style, StyleError, Stylizer, VideoReader, VideoWriter
from stylize.decode import comment_of, probe
from stylize.encode import Target, choose_encoding
from stylize.networks import Networks
from stylize.style.settings import append_settings, parse_settings, settings_comment


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", 4, sound=True)


def test_a_style_file_and_the_command_line_over_it(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    look = tmp_path / "look.toml"
    look.write_text(f'prompt = "ink"\nmodel = "{tiny_model}"\nstrength = 0.75\nsteps = 2\ncontrol = ["canny:0.5"]\n')
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--style", look, "--steps", "3", "--quiet")
    assert code == 0, err
    found = parse_settings(comment_of(tmp_path / "a.mp4"), ["prompt", "steps", "strength", "control", "model"], "a.mp4")
    assert found == {
        "prompt": "ink", "steps": 3, "strength": 0.75, "control": ["canny:0.5"], "model": str(tiny_model),
    }  # fmt: skip


def test_a_result_made_like_another(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = ("--prompt", "ink", "--model", tiny_model, "--strength", "0.9", "--steps", "3", "--seed", "5", "--quiet")
    assert run("run", source, "-o", tmp_path / "a.mkv", *made)[0] == 0
    assert run("run", source, "-o", tmp_path / "b.mkv", "--like", tmp_path / "a.mkv", "--quiet")[0] == 0
    assert np.array_equal(frames(tmp_path / "a.mkv"), frames(tmp_path / "b.mkv"))
    assert run("run", source, "-o", tmp_path / "c.mkv", "--like", tmp_path / "a.mkv", "--seed", "6", "--quiet")[0] == 0
    assert not np.array_equal(frames(tmp_path / "a.mkv"), frames(tmp_path / "c.mkv"))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_container_carries_the_settings(suffix: str, source: Path, tmp_path: Path, tiny: Networks) -> None:
    output = tmp_path / f"out{suffix}"
    style = Style(prompt="ink, ünï", steps=2, strength=0.5, controls={"canny": 0.5}, size=(64, 48))
    Stylizer(tiny).convert(source, output, style, say=lambda _: None)
    found = parse_settings(comment_of(output), ["prompt", "steps", "size", "control", "guidance"], output)
    assert found == {"prompt": "ink, ünï", "steps": 2, "size": "64x48", "control": ["canny:0.5@0-1"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 3", "there is no option 'colour': use prompt"),
        ("strength =", "is not TOML"),
        ('strength = "much"', "strength = 'much' has no meaning"),
        ("strength = 7", "strength 7.0 is out of range: use above 0, up to 1"),
    ],
)
def test_style_files_that_have_no_meaning(text: str, message: str, source: Path, tmp_path: Path) -> None:
    look = tmp_path / "look.toml"
    look.write_text(f'prompt = "ink"\n{text}\n')
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--style", look)
    assert code == 1 and message in err and err.count("\n") == 1


def test_a_style_file_that_is_not_there(source: Path, tmp_path: Path) -> None:
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--style", tmp_path / "no.toml")
    assert code == 1 and err.endswith("no.toml: cannot be read (No such file or directory): check the name\n")


def test_a_video_that_carries_no_settings(source: Path, tmp_path: Path) -> None:
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--like", source)
    assert code == 1 and "carries no settings: name a video that stylize made" in err


def test_paths_in_a_style_file_are_meant_from_its_folder(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "looks"
    folder.mkdir()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / "red.png")
    (folder / "look.toml").write_text(f'reference = "red.png"\nmodel = "{tiny_model}"\n')
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--style", folder / "look.toml", "--quiet")
    assert code == 1 and "reads no reference picture" in err  # it was found; the tiny model cannot use it


def test_the_sources_own_comment_stays() -> None:
    first = append_settings("a day out", settings_comment({"prompt": "ink"}))
    assert first == 'a day out\nstylize settings: {"prompt": "ink"}'
    assert (
        append_settings(first, settings_comment({"prompt": "oil"})) == 'a day out\nstylize settings: {"prompt": "oil"}'
    )


@pytest.mark.parametrize("text", ["5", "[1, 2]", "null", "{", '"steps"'])
def test_settings_that_are_no_options(text: str) -> None:
    with pytest.raises(StyleError, match=r"a\.mp4: carries no settings"):
        parse_settings(f"stylize settings: {text}", ["steps"], "a.mp4")


def test_a_value_without_meaning_names_the_file_that_it_stands_in(
    source: Path, tmp_path: Path, tiny_model: Path
) -> None:
    like, style = tmp_path / "like.mkv", tmp_path / "look.toml"
    style.write_text('prompt = "Tusche, weiß"', encoding="utf-8")
    info = probe(source)
    target = Target(
        like, info, (64, 48), choose_encoding(like, (64, 48)), comment='stylize settings: {"steps": "many"}'
    )
    with VideoReader(source) as reader, VideoWriter.for_run(target, {}, None) as writer:
        for clip in reader.clips():
            writer.write(clip)
    code, _, errors = run("run", source, "-o", tmp_path / "o.mp4", "--like", like, "--style", style)
    assert code == 1 and f"{like}: steps = 'many' has no meaning" in errors
