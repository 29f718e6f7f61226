"""What does a GPU make of video models? Wan VACE 1.3B and AnimateDiff at full size, with random weights.

    python benchmarks/gpu_video.py [--size 832x480] [--frames 80] [--steps 20]
    python benchmarks/gpu_video.py --small     # proves the script on a CPU, at a size that says nothing about speed

Rows: diffusers' WanVACEPipeline for one window, our windows of 64 frames that go on from one another, the parts of Wan
alone (a step, encoding, decoding), and an SD 1.5 model with AnimateDiff's motion modules and two ControlNets, ours.
Words are random embeddings: the text encoder, 11 GB, is not built. Prints a table, and one JSON object as the last
line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffusers
import numpy as np
import torch
from common import hardware, moving_clips
from gpu import build, measured, prepare

from stylize import Clip, Style, Stylizer
from stylize.frames import StructureMaps, join_clips
from stylize.models.motion_adapter import choose_scheduler
from stylize.networks import VideoNetworks
from stylize.networks.prompts import PromptEmbedding
from stylize.networks.video_networks import Shown
from stylize.restyle.memory import Memory
from stylize.restyle.video_restyler import VideoRestyler
from stylize.style import parse_size

FULL = {
    "transformer": {
        "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30,
        "vace_layers": list(range(0, 30, 2)),
    },
    "vae": {},
}  # fmt: skip
"""Wan2.1-VACE-1.3B (its config.json), and the autoencoder of Wan 2.1, which is diffusers' default."""
SMALL = {
    "transformer": {
        "num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 32, "num_layers": 2, "vace_layers": [0],
        "text_dim": 32,
    },
    "vae": {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
}  # fmt: skip


class Wan(VideoNetworks):
    """Wan with random words in place of a text encoder."""

    def encode_prompt(self, prompt: str, negative: str, *, guided: bool) -> PromptEmbedding:
        width = self.pipe.transformer.config.text_dim
        return PromptEmbedding(torch.randn(1 + guided, 512, width).to(self.device, self.dtype))


def build_wan(device: torch.device, dtype: torch.dtype, *, small: bool) -> Wan:
    """The networks with random weights."""
    config = SMALL if small else FULL
    torch.set_default_dtype(dtype)
    with device:
        transformer = diffusers.WanVACETransformer3DModel(**config["transformer"])
    torch.set_default_dtype(torch.float32)
    with device:
        vae = diffusers.AutoencoderKLWan(**config["vae"])
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    pipe = diffusers.WanVACEPipeline(
        tokenizer=None, text_encoder=None, vae=vae.eval(), transformer=transformer.eval(), scheduler=scheduler
    )
    pipe.set_progress_bar_config(disable=True)
    return Wan("wan", pipe, lambda picture: picture.mean(-1).astype(np.float32), device, dtype)


def wan_rows(add: Callable[..., None], wan: Wan, clips: list[Clip], steps: int) -> None:
    """diffusers' pipeline for one window, ours for several, and the parts alone."""
    device, (width, height), frames = wan.device, clips[0].size, len(clips)
    words = wan.encode_prompt("", "", guided=True).words
    pictures = [clip.frames[0] / np.float32(255) for clip in clips]
    mask = [np.ones((height, width, 3), np.float32)] * (frames + 1)

    def theirs() -> Any:
        return wan.pipe(
            prompt_embeds=words[1:], negative_prompt_embeds=words[:1], video=[np.stack([pictures[0], *pictures])],
            mask=[np.stack(mask)], height=height, width=width, num_frames=1 + frames, num_inference_steps=steps,
            output_type="pt",
        )  # fmt: skip

    add("diffusers' WanVACEPipeline, one window", measured(device, frames, theirs))
    restyler = VideoRestyler(wan)
    conditions = restyler.prepare(Style("ink", steps=steps), None)
    windows = [join_clips(clips[i : i + restyler.batch]) for i in range(0, frames, restyler.batch)]

    def ours() -> None:
        memory = Memory().cut()
        for window in windows:
            depth = np.zeros((len(window), 1, height, width), np.float32)
            images, memory = restyler.restyle(window, StructureMaps({"depth": depth}), memory, conditions)
            for _ in images:
                pass

    add(f"stylize, {len(windows)} windows", measured(device, frames, ours))
    video = torch.zeros(1, 3, 1 + 4 * (min(frames, restyler.batch) // 4), height, width)
    latents = wan.encode(video)
    shown = wan.condition(video, torch.ones_like(video[:, :1]))
    parts = {
        "a step": lambda: wan.predict(latents, torch.tensor(500), words[:1], Shown(shown)),
        "encoding": lambda: wan.encode(video), "decoding": lambda: wan.decode(latents),
    }  # fmt: skip
    for name, work in parts.items():
        add(f"Wan, {name} of {video.shape[2]} frames", measured(device, video.shape[2], work))


def animatediff_row(add: Callable[..., None], device: torch.device, clips: list[Clip], small: bool, steps: int) -> None:
    """Our batches of an SD 1.5 model with motion modules and two ControlNets."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    networks, _ = build("sd15", device, dtype, small=small)
    config = networks.unet.config
    motion = diffusers.MotionAdapter(
        block_out_channels=config.block_out_channels, motion_layers_per_block=config.layers_per_block,
        motion_norm_num_groups=config.norm_num_groups,
    )  # fmt: skip
    unet = diffusers.UNetMotionModel.from_unet2d(networks.pipe.unet, motion.to(device, dtype)).to(device, dtype)
    networks.pipe.register_modules(unet=unet)
    networks = prepare(replace(networks, scheduler=choose_scheduler(networks.pipe.scheduler)))
    stylizer = Stylizer(networks, compile="off")
    style = Style("ink", steps=steps, strength=1.0, guidance_scale=1.0)
    row = measured(device, len(clips), lambda: list(stylizer.stream(clips, style)))
    add("AnimateDiff with two ControlNets, ours", row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=(832, 480))
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="tiny networks, on any machine")
    args = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    if not torch.cuda.is_available() and not args.small:
        raise SystemExit("benchmarks/gpu_video.py: no CUDA device: run it on one, or prove it with --small")
    torch.set_grad_enabled(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    size, frames, steps = ((64, 48), 72, 2) if args.small else (args.size, args.frames, args.steps)
    rows: dict[str, dict[str, float]] = {}

    def add(name: str, row: dict[str, float]) -> None:
        rows[name] = {key: round(value, 3) for key, value in row.items()}
        print(f"{name:<44} {row['frames_per_second']:8.2f} frames/s  {row['peak_gib']:6.2f} GiB", flush=True)

    clips = list(moving_clips(frames, *size))
    wan_rows(add, build_wan(device, dtype, small=args.small), clips, steps)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    animatediff_row(add, device, list(moving_clips(16, *((64, 64) if args.small else (512, 512)))), args.small, 4)
    about = {"benchmark": "gpu_video", "hardware": hardware(), "size": list(size), "steps": steps}
    print(json.dumps(about | {"rows": rows}))


if __name__ == "__main__":
    main()
