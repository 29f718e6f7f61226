"""The command: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from media import frame_times, frames, make_video
from stylize import __version__
from stylize.cli import app
from stylize.cli.console import one_line_errors
from tiny_models import add_lora

runner = CliRunner()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", 4, sound=True)


def run(*arguments: object) -> tuple[int, str, str]:
    result = runner.invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_run_with_json(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    output = tmp_path / "out.mp4"
    code, out, err = run("run", source, "-o", output, "--prompt", "ink", "--model", tiny_model, "--seed", 5, "--json")
    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report.pop("seconds") > 0 and report.pop("peak_rss_mb") > 50
    assert report == {
        "output": str(output), "model": str(tiny_model), "seed": 5, "frames": 4, "shots": 1, "keyframes": 4,
        "unet_evals_per_frame": 2.0, "peak_vram_mb": None, "concealed": 0, "resumed_from": 0,
        "workers": 1, "units": 1, "retries": 0, "worker_seconds": [],
    }  # fmt: skip
    assert frame_times(output) == frame_times(source)
    assert "4/4 frames" in err and "frames/s" in err


def test_run_summary_and_quiet(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    code, out, err = run("run", source, "-o", tmp_path / "a.mp4", "--prompt", "ink", "--model", tiny_model)
    assert code == 0 and "a.mp4: 4 frames, 1 shot" in out
    assert f"model {tiny_model} on " in err
    arguments = ("run", source, "-o", tmp_path / "b.mp4", "--prompt", "ink", "--model", tiny_model, "--quiet")
    assert run(*arguments) == (0, "", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--strength": "1.5"}, "strength 1.5 is out of range: use above 0, up to 1"),
        ({"--strength": "0"}, "strength 0.0 is out of range: use above 0, up to 1"),
        ({"--strength": "nan"}, "strength nan is out of range: use above 0, up to 1"),
        ({"--control": "depth:9"}, "weight of the control 'depth' 9.0 is out of range: use 0 to 2"),
        ({"--control": "depth:x"}, "'depth:x' is not a control: write NAME:WEIGHT, such as depth:0.5"),
        ({"--temporal": "-1"}, "temporal -1.0 is out of range: use 0 to 1"),
        ({"--guidance": "0.5"}, "guidance scale 0.5 is out of range: use 1 to 50"),
        ({"--steps": "0"}, "steps 0 is out of range: use 1 to 1000"),
        ({"--seed": "-1"}, "seed -1 is out of range: use 0 to 2**63 - 1"),
        ({"--size": "big"}, "'big' is not a size: write WIDTHxHEIGHT, such as 512x288"),
        ({"--size": "512x"}, "'512x' is not a size: write WIDTHxHEIGHT, such as 512x288"),
        ({"--size": "0x99999"}, "size 0x99999 is out of range: use 16 to 8192 for both sides"),
        ({"--crf": "60"}, "crf 60 is out of range: use 0 to 51"),
        ({"--start": "5", "--end": "2"}, "start 5.0 and end 2.0 leave no frame: give seconds with 0 <= start < end"),
        (
            {"--model": "poket"},
            "unknown model 'poket': use pocket, sd15, sd15-lcm, sdxl, sdxl-lightning, sd15-inpaint, animatediff, "
            "wan-vace, or a folder in diffusers format",
        ),
        (
            {"--lora": "no.safetensors"},
            "no.safetensors: is neither on disk nor a hub id: check the name; a hub id is owner/repository",
        ),
        ({"--lora": "no.ckpt:0.5"}, "no.ckpt: is a pickle, which can run code: convert it to .safetensors"),
        ({"--controlnet": "canny"}, "'canny' names no ControlNet: write NAME=FOLDER or NAME=owner/repository"),
        (
            {"--ip-adapter": "h94/IP-Adapter"},
            "h94/IP-Adapter: not on disk, and offline: go online once, or name a folder that has it",
        ),
        ({"--control": "canny:1@0.5"}, "'canny:1@0.5' is not a control: write NAME:WEIGHT, such as depth:0.5"),
        ({"--control": "canny:1@0.9-0.5"}, "end of the control 'canny' 0.5 is out of range: use 0.9 to 1"),
        ({"--clip-skip": "12"}, "clip skip 12 is out of range: use 0 to 11"),
        ({"--device": "warp"}, "device 'warp' is not available: use cpu, or install a torch that supports it"),
    ],
)
def test_wrong_settings_are_one_line(
    source: Path, tmp_path: Path, change: dict[str, str], message: str, tiny_model: Path
) -> None:
    options = {"-o": tmp_path / "out.mp4", "--prompt": "ink", "--model": tiny_model} | change
    flat = [str(x) for pair in options.items() for x in pair]
    assert run("run", source, *flat) == (1, "", f"stylize: {message}\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_a_control_that_the_model_lacks(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    code, _, err = run(
        "run", source, "-o", tmp_path / "o.mp4", "--prompt", "ink", "--model", tiny_model, "--control", "lineart:1"
    )
    what = f"{tiny_model} has no ControlNet 'lineart': name one with --controlnet; it has depth, canny"
    assert (code, err) == (1, f"stylize: {what}\n")


def test_a_lora_a_controlnet_and_a_part_of_the_steps(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    lora, output = add_lora(tmp_path / "wash.safetensors", tiny_model, seed=1), tmp_path / "out.mp4"
    chosen = ("--control", "canny:0.7@0-0.6", "--controlnet", f"canny={tiny_model / 'controlnet'}")
    code, out, err = run(
        "run", source, "-o", output, "--prompt", "ink", "--model", tiny_model, "--lora", f"{lora}:0.5", *chosen,
        "--json", "--offline",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["model"] == f"{tiny_model} + wash:0.5"
    assert len(frames(output)) == len(frames(source))


def test_wrong_files_are_one_line(source: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.mp4"
    old.write_bytes(b"old")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    suffixes = "end the name in .mp4, .m4v, .mov, .mkv, .webm, .gif, .png"
    unreadable = "not a video that FFmpeg can read, or truncated: try to play it, or download it again"
    for given, output, message in (
        (tmp_path / "no.mp4", "out.mp4", f"{tmp_path}/no.mp4: no such file: check the name and the folder"),
        (text, "out.mp4", f"{text}: {unreadable}"),
        (source, "old.mp4", f"{old}: exists already: name another file, or pass --force to replace it"),
        (source, "no/o.mp4", f"{tmp_path}/no/o.mp4: the folder {tmp_path}/no does not exist: make it, or name another"),
        (source, "out.txt", f"{tmp_path}/out.txt: cannot write this kind of file: {suffixes}"),
        (source, "in.mp4", f"{source}: is the input itself: give the output another name"),
        (source, ".", f"{source}: is the input itself: give the output another name"),  # of its name in that folder
    ):
        code, out, err = run("run", given, "-o", tmp_path / output, "--prompt", "ink")
        assert (code, out, err) == (1, "", f"stylize: {message}\n")
    assert old.read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    code, _, err = run("run", source, "-o", folder / "out.mp4", "--prompt", "ink")
    assert code == 1 and "is not writable" in err


def test_wrong_usage_is_2(source: Path) -> None:
    assert run("run", source)[0] == 2
    assert run("paint")[0] == 2
    assert run("run", source, "-o", "out.mp4", "--prompt", "ink", "--mode", "slow")[0] == 2


def test_names_with_spaces_quotes_and_dashes(tmp_path: Path, tiny_model: Path) -> None:
    source = make_video(tmp_path / "-my 'clip'\nünï:1.mp4", 1)
    output = tmp_path / 'out "of" it.mp4'
    code, _, err = run("run", "--model", tiny_model, "--prompt", "ink", "-o", output, "--", source)
    assert code == 0, err
    assert len(frames(output)) == 1


def test_models_lists_what_there_is() -> None:
    code, out, _ = run("models")
    assert code == 0 and "pocket" in out and "on disk" in out and "sd15" in out and "watercolour" in out
    cards = json.loads(run("models", "--json")[1])
    assert [card["name"] for card in cards] == [
        "pocket",
        "sd15",
        "sd15-lcm",
        "sdxl",
        "sdxl-lightning",
        "sd15-inpaint",
        "animatediff",
        "wan-vace",
    ]
    assert cards[0]["on_disk"] is True and "ukiyo-e" in cards[0]["looks"]


def test_version() -> None:
    assert run("--version") == (0, f"stylize {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["models"], ["--version"]])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from stylize.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'cv2', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_import_does_nothing_heavy() -> None:
    code = (
        "import sys, stylize; assert not {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules); stylize.Style(prompt='x')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, tiny_model: Path, how: signal.Signals) -> None:
    source = make_video(tmp_path / "in.mp4", 400)
    command = [sys.executable, "-m", "stylize.cli", "run", source, "-o", tmp_path / "out.mp4", "--prompt", "ink"]
    process = subprocess.Popen(
        [str(x) for x in [*command, "--model", tiny_model]],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.mp4.unfinished")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(how)
    sent = time.monotonic()
    _, err = process.communicate(timeout=30)
    # Python ends by the signal itself where the interrupt came in the `exec` of an import: 130 to a shell, too
    assert process.returncode in (130, -signal.SIGINT), err
    assert time.monotonic() - sent < 5  # 2 s, on cores that do nothing else
    assert err.splitlines()[-1] == "stylize: interrupted: nothing was written"
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


class Finalized:
    def __init__(self, how: signal.Signals) -> None:
        self.how = how

    def __del__(self) -> None:
        signal.raise_signal(self.how)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_a_finalizer_is_not_lost(how: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    began = time.monotonic()
    try:
        with pytest.raises(typer.Exit) as ended, one_line_errors():
            Finalized(how)  # Python drops the KeyboardInterrupt that comes here
            while time.monotonic() - began < 10:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.exit_code == 130 and time.monotonic() - began < 5
    assert capfd.readouterr().err == "stylize: interrupted: nothing was written\n"


def test_a_bar_on_a_terminal(source: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    code, _, err = run("run", source, "-o", tmp_path / "out.mp4", "--prompt", "ink", "--model", tiny_model)
    assert code == 0 and "restyling" in err and "frames/s" in err, err


def test_the_output_differs_with_the_prompt(source: Path, tmp_path: Path, tiny_model: Path) -> None:
    for name, prompt in (("a.mp4", "ink"), ("b.mp4", "something else altogether")):
        run("run", source, "-o", tmp_path / name, "--prompt", prompt, "--model", tiny_model, "--guidance", "8")
    assert not np.array_equal(frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4"))
