"""What does a GPU make of Stable Diffusion class models? Real architectures at full size, with random weights.

    python benchmarks/gpu.py [--family sd15|sdxl|pocket] [--size 512x512] [--frames 64] [--steps 4] [--compile]
    python benchmarks/gpu.py --small        # proves the script on a CPU, at a size that says nothing about speed

Rows, all with the same networks, steps and two ControlNets, in one run: diffusers' img2img ControlNet pipeline frame by
frame; AnimateDiff's video-to-video ControlNet pipeline (SD 1.5 only); our networks alone in batches of 1 to 16; `full`
in those batches; from file to file with the model's VAE and with one of TAESD's architecture, and `fast`. `pocket` is
the built-in model with its weights, ours alone. Columns: frames/s, peak VRAM, and FLOP/s of UNet and ControlNets as a
share of what a large matrix product reaches on the same card. Then the share of each stage, and with `--profile` what
card and processor spend a run on. Prints tables, and one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import diffusers
import numpy as np
import torch
from common import hardware, moving_clips, source_video
from speed import timed
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from stylize import Clip, Style, Stylizer
from stylize.frames import StructureMaps, join_clips
from stylize.models.loading import load_networks
from stylize.models.single_file import CONFIGS
from stylize.networks import ControlNet, Exchange, Networks, attention
from stylize.networks.compiling import set_compiled
from stylize.networks.devices import memory_format
from stylize.networks.prompts import PromptEmbedding, stack
from stylize.pipeline import make_plan
from stylize.restyle import ImageRestyler, Memory
from stylize.restyle.denoise import denoise
from stylize.style import parse_size
from stylize.style.values import Mode

KINDS = {"sd15": "v1", "sdxl": "xl_base"}
CONTROLS = ("depth", "canny")
SMALL = {
    "unet": {"block_out_channels": [32, 64, 64, 64], "layers_per_block": 1, "norm_num_groups": 8},
    "vae": {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 8},
    "text_encoder": {"num_hidden_layers": 1},
    "text_encoder_2": {"num_hidden_layers": 1},
}  # fmt: skip


def build(family: str, device: torch.device, dtype: torch.dtype, *, small: bool) -> tuple[Networks, Any]:
    """The family's networks with random weights, and diffusers' img2img pipeline of the very same."""
    configs = {n: c | (SMALL.get(n, {}) if small else {}) for n, c in CONFIGS[KINDS[family]].items()}
    if small and family == "sdxl":
        configs["unet"]["block_out_channels"] = [32, 64, 64]
        configs["unet"]["transformer_layers_per_block"] = [1, 1, 1]
    torch.set_default_dtype(dtype)
    with device:
        unet = diffusers.UNet2DConditionModel.from_config(configs["unet"])
        vae = diffusers.AutoencoderKL.from_config(configs["vae"])
        nets = [diffusers.ControlNetModel.from_unet(unet) for _ in CONTROLS]
        text = {
            name: (CLIPTextModelWithProjection if name.endswith("2") else CLIPTextModel)(CLIPTextConfig(**config))
            for name, config in configs.items() if name.startswith("text_encoder")
        }  # fmt: skip
    torch.set_default_dtype(torch.float32)
    tokens = {name.replace("text_encoder", "tokenizer"): letters() for name in text}
    scheduler = diffusers.LCMScheduler.from_config(configs["scheduler"])
    parts = {"vae": vae, "unet": unet, "scheduler": scheduler, **text, **tokens}
    xl = family == "sdxl"
    plain = {} if xl else {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    own = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
    theirs = diffusers.StableDiffusionXLControlNetImg2ImgPipeline if xl else None
    theirs = theirs or diffusers.StableDiffusionControlNetImg2ImgPipeline
    pipe = own(**parts, **plain)
    their_pipe = theirs(**parts, **plain, controlnet=diffusers.MultiControlNetModel(nets))
    their_pipe.set_progress_bar_config(disable=True)
    networks = Networks(
        name=family, pipe=pipe, controlnets=dict(zip(CONTROLS, nets, strict=True)), scheduler=scheduler,
        estimate_depth=lambda picture: picture.mean(-1).astype(np.float32), device=device, dtype=dtype,
    )  # fmt: skip
    return networks, their_pipe


def letters() -> CLIPTokenizer:
    """One token a letter: no words are needed where no picture is looked at."""
    signs = [chr(i) for i in range(33, 127)]
    tokens = [*signs, *(c + "</w>" for c in signs), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=77)


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of a large matrix product, the card's practical ceiling."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    seconds = clocked(device, lambda: [a @ b for _ in range(10)])
    return 10 * 2 * side**3 / seconds


def clocked(device: torch.device, work: Callable[[], Any]) -> float:
    """Seconds, with everything that was started finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


@torch.inference_mode()
def step_flops(networks: Networks, size: tuple[int, int]) -> float:
    """FLOP of one step: UNet and both ControlNets."""
    width, height = size
    channels = networks.unet.config.in_channels
    latents = torch.randn(1, channels, height // 8, width // 8, device=networks.device, dtype=networks.dtype)
    prompt: PromptEmbedding = networks.encode_prompt("ink", "", guided=False)
    control = torch.rand(1, 3, height, width)
    controls = {name: networks.embed_control(name, control) for name in networks.controlnets}
    weights = dict.fromkeys(networks.controlnets, 1.0)
    with FlopCounterMode(display=False) as counter:
        networks.predict(latents, torch.tensor([500], device=networks.device), prompt, controls, weights, Exchange())
    return float(counter.get_total_flops())


def measured(device: torch.device, frames: int, work: Callable[[], Any]) -> dict[str, float]:
    """Frames a second and peak memory of the card."""
    work()  # warm-up
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = clocked(device, work)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return {"frames_per_second": frames / seconds, "peak_gib": peak}


def animatediff(pipe: Any, frames: list[np.ndarray], maps: list[torch.Tensor], steps: int) -> Callable[[], Any]:
    """diffusers' AnimateDiff with the same UNet, a random motion module, the same two ControlNets."""
    config = pipe.unet.config
    motion = diffusers.MotionAdapter(
        block_out_channels=config.block_out_channels, motion_layers_per_block=config.layers_per_block,
        motion_norm_num_groups=config.norm_num_groups,
    )  # fmt: skip
    motion = motion.to(pipe.unet.device, pipe.unet.dtype)
    theirs = diffusers.AnimateDiffVideoToVideoControlNetPipeline(
        vae=pipe.vae, text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer, unet=pipe.unet, motion_adapter=motion,
        controlnet=pipe.controlnet, scheduler=pipe.scheduler,
    )  # fmt: skip
    theirs.to(pipe.unet.device, pipe.unet.dtype)  # the UNet that it made of both is on the CPU
    theirs.set_progress_bar_config(disable=True)
    images = [_picture(frame) for frame in frames]
    controls = [[_picture((m[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)) for m in maps] for _ in CONTROLS]
    return lambda: theirs(
        video=images, conditioning_frames=controls, prompt="ink", strength=0.8, num_inference_steps=steps,
        guidance_scale=1.0, output_type="pt",
    )  # fmt: skip


def _picture(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=[*KINDS, "pocket"], default="sd15")
    parser.add_argument("--size", type=parse_size, default=(512, 512))
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--compile", action="store_true", help="rows for torch.compile too, which takes minutes")
    parser.add_argument("--profile", action="store_true", help="what the card and the processor spend a run on")
    parser.add_argument("--small", action="store_true", help="tiny networks, on any machine")
    args = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    if not torch.cuda.is_available() and not args.small:
        raise SystemExit("benchmarks/gpu.py: no CUDA device: run it on one, or prove it with --small")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    size, frames = ((64, 64), 8) if args.small else (args.size, args.frames)
    torch.set_grad_enabled(False)
    rate = matrix_rate(device, dtype, 512 if args.small else 8192)
    if args.family == "pocket":
        networks = load_networks("pocket", device=device.type)
        args.steps = networks.defaults.steps
        table = Table(args, size, frames, rate, step_flops(networks, size))
    else:
        networks, theirs = build(args.family, device, dtype, small=args.small)
        table = Table(args, size, frames, rate, step_flops_of(networks, theirs, size))
        peer_rows(table, args, theirs, device, size, frames)
        networks = prepare(networks)
    ours_rows(table, args, networks, list(moving_clips(frames, *size)))


def peer_rows(
    table: Table, args: argparse.Namespace, theirs: Any, device: torch.device, size: tuple[int, int], frames: int
) -> None:
    """diffusers' own ways."""
    clips = list(moving_clips(min(frames, 32), *size))
    pixels = [torch.from_numpy(c.frames).permute(0, 3, 1, 2).float() / 255 for c in clips]

    def frame_by_frame() -> None:
        for picture in pixels:
            theirs(
                prompt="ink", image=picture, control_image=[picture, picture], strength=1.0, guidance_scale=1.0,
                num_inference_steps=args.steps, output_type="pt",
            )  # fmt: skip

    table.row("diffusers, frame by frame", measured(device, len(clips), frame_by_frame))
    if args.family == "sd15":
        length = min(len(clips), 16)
        run = animatediff(theirs, [c.frames[0] for c in clips[:length]], pixels[:length], args.steps)
        table.row(f"AnimateDiff, {length} frames at once", measured(device, length, run))


def prepare(networks: Networks) -> Networks:
    """The networks as `load_networks` would give them."""
    nets = {name: ControlNet(net).to(networks.device) for name, net in networks.controlnets.items()}
    attention.install(networks.unet)
    for module in (networks.unet, networks.vae):
        module.to(memory_format=memory_format(networks.device))
    return replace(networks, controlnets=nets)


def ours_rows(table: Table, args: argparse.Namespace, networks: Networks, clips: list[Clip]) -> None:
    """Our modes and batch sizes; from here on the networks are ours."""
    device, frames = networks.device, len(clips)
    pocket = args.family == "pocket"
    full = Style(
        prompt="oil painting", steps=None if pocket else args.steps, strength=None if pocket else 0.8,
        guidance_scale=None if pocket else 1.0,
    )  # fmt: skip
    ours = Stylizer(networks, compile="off")

    def restyled(batch: int | None = None, mode: Mode = "full") -> list[Clip]:
        ours.batch = batch
        return list(ours.stream(clips, replace(full, mode=mode)))

    batches = [batch for batch in (1, 4, 8, 16) if batch <= frames]
    for batch in batches:
        table.row(
            f"networks alone, batch {batch}", measured(device, batch, networks_alone(networks, full, clips, batch))
        )
    for batch in batches:
        table.row(f"stylize, full, batch {batch}", measured(device, frames, lambda batch=batch: restyled(batch)))
    table.row("stylize, fast", measured(device, frames, lambda: restyled(mode="fast")))
    file_rows(table, ours, full, clips, "")
    with timed(ours.networks) as (stages, _):
        total = clocked(device, restyled)
    shares = {name: spent / total for name, spent in sorted(stages.items(), key=lambda item: -item[1])}
    print("stages of full: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()), flush=True)
    if args.profile:
        print_profile(device, frames, restyled)
    if not pocket:
        small = Stylizer(replace(networks, pipe=with_tiny_vae(networks)), compile="off")
        file_rows(table, small, full, clips, ", tiny VAE")
        if args.compile and device.type == "cuda":
            set_compiled(networks, True)
            for stylizer, name in ((ours, ""), (small, ", tiny VAE")):
                stylizer.compile = "on"
                file_rows(table, stylizer, full, clips, f"{name}, compiled")
    print(json.dumps({
        "benchmark": "gpu", "hardware": hardware(), "family": args.family, "size": list(clips[0].size),
        "rows": table.rows, "share": shares,
    }))  # fmt: skip


def networks_alone(networks: Networks, style: Style, clips: list[Clip], batch: int) -> Callable[[], Any]:
    """The denoising steps of one batch in the middle of a shot."""
    restyler = ImageRestyler(networks, batch)
    plan = make_plan(restyler, style)
    clip = join_clips(clips[:batch])
    asked = plan.conditions.controls
    maps = StructureMaps({name: np.zeros((batch, 3, *clip.frames.shape[1:3]), np.float32) for name in asked})
    _, memory = restyler.restyle(clip, maps, Memory().cut(), plan.conditions)
    latents = networks.encode(torch.rand(batch, 3, *clip.frames.shape[1:3]), [torch.Generator()] * batch)
    controls = {name: networks.embed_control(name, torch.rand(batch, 3, *clip.frames.shape[1:3])) for name in asked}
    prompt, generators = stack([plan.conditions.prompts.at(clip.times[0])] * batch), [torch.Generator()] * batch
    return lambda: denoise(networks, plan.conditions, latents, controls, prompt, memory, generators)


def with_tiny_vae(networks: Networks) -> Any:
    """The pipeline with a VAE of TAESD's architecture and random weights."""
    pipe = copy.copy(networks.pipe)
    vae = diffusers.AutoencoderTiny().to(networks.device, networks.dtype).eval()
    vars(pipe)["vae"] = vae
    return pipe


def file_rows(table: Table, stylizer: Stylizer, style: Style, clips: list[Clip], name: str) -> None:
    """From file to file, in both modes."""
    with tempfile.TemporaryDirectory() as folder:
        source = source_video(Path(folder), len(clips), clips[0].size)

        def convert(mode: Mode) -> None:
            stylizer.batch = None
            stylizer.convert(source, Path(folder) / "out.mp4", replace(style, mode=mode), force=True)

        for mode in get_args(Mode):
            row = measured(stylizer.networks.device, len(clips), lambda mode=mode: convert(mode))
            table.row(f"file to file, {mode}{name}", row)


def print_profile(device: torch.device, frames: int, work: Callable[[], Any]) -> None:
    """How much of the time the card works, how many kernels a frame starts, and what takes longest."""
    on_card = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_card else [])]
    with profile(activities=activities) as found:
        seconds = clocked(device, work)
    events = found.key_averages()
    if on_card:
        kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        busy = sum(event.self_device_time_total for event in kernels) / 1e6 / seconds
        started = sum(event.count for event in kernels) / frames
        print(f"profiled: the card is busy {busy:.0%} of the time, {started:.0f} kernels a frame")
    print(events.table(sort_by="self_device_time_total" if on_card else "self_cpu_time_total", row_limit=15))


class Table:
    """Rows that are printed as soon as they are measured."""

    def __init__(self, args: argparse.Namespace, size: tuple[int, int], frames: int, rate: float, flops: float) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        self._share = args.steps * flops / rate
        kind = "small networks" if args.small else "full size"
        print(f"{hardware()}; {args.family}, {kind}, {size[0]}x{size[1]}, {frames} frames, {args.steps} steps")
        print(f"matrix product: {rate / 1e12:.2f} TFLOP/s; a step of UNet and ControlNets: {flops / 1e12:.4f} TFLOP")
        print(f"{'method':<40} {'frames/s':>9} {'peak GiB':>9} {'of the matrix rate':>19}")

    def row(self, name: str, row: dict[str, float]) -> None:
        """Adds and prints one."""
        row["of_matrix_rate"] = row["frames_per_second"] * self._share if "fast" not in name else 0.0
        share = f"{row['of_matrix_rate']:.1%}" if row["of_matrix_rate"] else "-"
        print(f"{name:<40} {row['frames_per_second']:>9.2f} {row['peak_gib']:>9.2f} {share:>19}", flush=True)
        self.rows[name] = row


def step_flops_of(networks: Networks, theirs: Any, size: tuple[int, int]) -> float:
    """FLOP of a step, counted on copies' behalf before anything is installed: ControlNets are put back after."""
    embeddings = [net.controlnet_cond_embedding for net in theirs.controlnet.nets]
    wrapped = {name: ControlNet(net) for name, net in networks.controlnets.items()}
    flops = step_flops(replace(networks, controlnets=wrapped), size)
    for net, embedding in zip(theirs.controlnet.nets, embeddings, strict=True):
        net.controlnet_cond_embedding = embedding
    return flops


if __name__ == "__main__":
    main()
