"""Prompts over time, settings in files, and views of source and result."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media import frames, make_video, sound_packets
from PIL import Image
from test_restyle import joined, make_clip
from typer.testing import CliRunner

from stylize import Style, StyleError, Stylizer
from stylize.cli import app
from stylize.networks import Networks, Prompted
from stylize.stylefile import beside_own, read_settings, settings_comment
from stylize.timeline import Timeline, mixed, parse_timeline


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_plain_prompt_is_one_moment() -> None:
    assert parse_timeline("ink; wash, 4s of rain") == [(0, "ink; wash, 4s of rain")]


def test_moments() -> None:
    assert parse_timeline("0s: watercolour; 4.5s : oil painting, autumn") == [
        (0, "watercolour"), (Fraction(9, 2), "oil painting, autumn"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("0s: ink; 2s: oil; 1s: wash", "1s comes after 2s in the prompt: let seconds rise"),
        ("ink; 2s: oil", "says no second for its beginning: write 0s: before it"),
        ("0s: ink; 2s:  ", "has no words: write some after the colon"),
    ],
)
def test_prompts_over_time_that_have_no_meaning(prompt: str, message: str) -> None:
    with pytest.raises(StyleError, match=message):
        parse_timeline(prompt)


def test_between_two_moments_both_count_and_the_change_is_smooth() -> None:
    one, two = (Prompted(torch.full((1, 4, 2), value)) for value in (0.0, 1.0))
    line = Timeline(((Fraction(1), one), (Fraction(3), two)))
    at = [float(line.at(Fraction(k, 4)).words.mean()) for k in range(17)]
    assert at[:5] == [0.0] * 5 and at[12:] == [1.0] * 5 and at[8] == pytest.approx(0.5)
    steps = np.diff(at)
    assert (steps >= 0).all() and steps.max() < 0.2 and steps[4] < steps[7]


def test_prompts_of_different_length_mix() -> None:
    short, long = Prompted(torch.zeros(1, 77, 8)), Prompted(torch.ones(1, 154, 8))
    assert mixed(short, long, 0.25).words.shape == (1, 154, 8)


def test_the_prompt_changes_over_the_clip(tiny: Networks) -> None:
    """At its ends each frame is what the one prompt alone makes; between, it is neither."""
    clip, plain = make_clip(5), {"temporal": 0.0, "seed": 1}  # 0 to 0.16 s
    both, ink, oil = (
        joined(list(Stylizer(tiny).stream([clip], Style(prompt=p, **plain))))  # type: ignore[arg-type]
        for p in ("0.04s: ink; 0.12s: oil", "ink", "oil")
    )
    assert np.array_equal(both[:2], ink[:2]) and np.array_equal(both[3:], oil[3:])
    assert not np.array_equal(both[2], ink[2]) and not np.array_equal(both[2], oil[2])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", 4, sound=True)


def test_a_style_file_and_the_command_line_over_it(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    look = tmp_path / "look.toml"
    look.write_text(f'prompt = "ink"\nmodel = "{tiny_model}"\nstrength = 0.75\nsteps = 2\ncontrol = ["canny:0.5"]\n')
    code, _, err = run("run", source, "-o", tmp_path / "a.mp4", "--style", look, "--steps", "3", "--quiet")
    assert code == 0, err
    found = read_settings(tmp_path / "a.mp4", ["prompt", "steps", "strength", "control", "model"])
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
    found = read_settings(output, ["prompt", "steps", "size", "control", "guidance"])
    assert found == {"prompt": "ink, ünï", "steps": 2, "size": "64x48", "control": ["canny:0.5@0-1"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 3", "there is no option 'colour': use prompt"),
        ("strength =", "is no TOML"),
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


def test_views_after_a_run(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    views = {"--side-by-side": "both.mp4", "--split": "wipe.mp4", "--before-after": "sheet.png"}
    flat = [str(x) for option, name in views.items() for x in (option, tmp_path / name)]
    made = ("--prompt", "ink", "--model", tiny_model, "--quiet")
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", *made, *flat)
    assert code == 0, err
    before, after, both = (frames(tmp_path / name).astype(int) for name in ("in.mp4", "out.mp4", "both.mp4"))
    assert both.shape == (4, 48, 128, 3)
    assert np.abs(both[:, :, :60] - before[:, :, :60]).mean() < 6  # 4:2:0 and the encoder in between
    assert np.abs(both[:, :, 68:] - after[:, :, 4:]).mean() < 6
    wipe = frames(tmp_path / "wipe.mp4").astype(int)
    assert wipe.shape == after.shape and np.abs(wipe[0, :, 10:] - before[0, :, 10:]).mean() < 6
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 64, 2 * 48)
    assert sound_packets(tmp_path / "both.mp4") == sound_packets(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both.mp4", "in.mp4", "out.mp4", "sheet.png", "wipe.mp4"]


def test_the_compare_command(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = ("--prompt", "ink", "--model", tiny_model, "--quiet", "--start", "0.08")
    assert run("run", source, "-o", tmp_path / "out.mp4", *made)[0] == 0
    arguments = ("compare", source, tmp_path / "out.mp4", "-o")
    assert run(*arguments, tmp_path / "both.mp4", "--start", "0.08") == (0, "", "")
    assert len(frames(tmp_path / "both.mp4")) == 2
    code, _, err = run("compare", tmp_path / "out.mp4", source, "-o", tmp_path / "wrong.mp4")
    assert code == 1 and "has more frames than" in err and not (tmp_path / "wrong.mp4").exists()
    assert run(*arguments, tmp_path / "sheet.jpg")[0] == 0


def test_a_view_that_exists_is_found_before_the_work(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = ("--prompt", "ink", "--model", tiny_model, "--split", source)
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", *made)
    assert code == 1 and "exists already" in err and not (tmp_path / "out.mp4").exists()


def test_a_sweep_on_a_sheet(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    sheet = tmp_path / "sheet.png"
    made = ("--prompt", "ink", "--model", tiny_model, "--frames", "2", "--compare", "strength=0.3|0.6|1")
    code, out, err = run("preview", source, "-o", sheet, *made)
    assert code == 0, err
    assert "GB of memory" in out and "MB of disk as an mp4" in out
    with Image.open(sheet) as picture:
        assert picture.size == (2 * 64, 4 * (48 + 28))
    for sweep in ("strength", "colour=1|2", "steps=few|many"):
        code, _, err = run("preview", source, "-o", tmp_path / "no.png", *made[:-1], sweep)
        assert code == 1 and "write 'strength=0.5|0.7'" in err


def test_the_report_is_json_still(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    code, out, _ = run("run", source, "-o", tmp_path / "o.mp4", "--prompt", "ink", "--model", tiny_model, "--json")
    assert code == 0 and json.loads(out)["frames"] == 4
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.metadata["comment"].startswith("stylize settings: {")


def test_the_sources_own_comment_stays() -> None:
    first = beside_own("a day out", settings_comment({"prompt": "ink"}))
    assert first == 'a day out\nstylize settings: {"prompt": "ink"}'
    assert beside_own(first, settings_comment({"prompt": "oil"})) == 'a day out\nstylize settings: {"prompt": "oil"}'
