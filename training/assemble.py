"""Puts the trained networks into one folder in diffusers format, in float16, beside what `stylize` needs to know.

python training/assemble.py --work training/work --out src/stylize/pocket
python training/assemble.py --back    # the other way round, to go on from a published model
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPTokenizer

import prompts
from denoiser import REFERENCE_SIDE, Denoiser, build_scheduler, save
from painters import CELLS, PIXELS
from stylize.models.loading import IMAGE_PROMPT
from stylize.structure.depth_network import DepthNetwork
from tones import TONES

ADAPTER = "ip_adapter"
CONTROLS = {"depth": "controlnet", "strokes": "controlnet_1"}
"""Folders of the ControlNets by control."""
DEFAULTS = {
    "steps": 1, "strength": 0.65, "guidance_scale": 1.0, "controls": {"depth": 0.5, "strokes": 1.0},
    "on_request": ["depth"], "full_strength": 0.94, "palette": 1.0,
}  # fmt: skip
OWN, DIFFUSERS, TRANSFORMERS = "stylize.networks.patches", "diffusers", "transformers"
INDEX = {
    "_class_name": "StableDiffusionControlNetImg2ImgPipeline",
    "controlnet": [DIFFUSERS, "MultiControlNetModel"],
    "feature_extractor": [TRANSFORMERS, "CLIPImageProcessor"],
    "image_encoder": [TRANSFORMERS, "CLIPVisionModelWithProjection"],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": [DIFFUSERS, "LCMScheduler"],
    "text_encoder": [TRANSFORMERS, "CLIPTextModel"],
    "tokenizer": [TRANSFORMERS, "CLIPTokenizer"],
    "unet": [OWN, "ChangeUNet"],
    "vae": [OWN, "PatchAutoencoder"],
}


def get_parts(network: Denoiser) -> dict[str, torch.nn.Module]:
    """The networks by their folders."""
    nets = {folder: network.controls[name] for name, folder in CONTROLS.items()}
    return {
        "vae": network.vae, "unet": network.unet, "text_encoder": network.text, "image_encoder": network.seeing, **nets
    }  # fmt: skip


def save_network(network: torch.nn.Module, folder: Path) -> None:
    """One part in float16, without the place that it was loaded from."""
    network.to(torch.float16).save_pretrained(folder)
    config = folder / "config.json"
    kept = {key: value for key, value in json.loads(config.read_text()).items() if key != "_name_or_path"}
    config.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def save_image_prompt(projection: torch.nn.Module, out: Path) -> None:
    """The projection in IP-Adapter's layout, and what a reference picture goes through before the image encoder."""
    weights = {
        f"image_proj.{name.replace('image_embeds', 'proj')}": value.half().contiguous()
        for name, value in projection.state_dict().items()
    }
    (out / ADAPTER).mkdir(parents=True)
    save_file(weights, out / ADAPTER / IMAGE_PROMPT)
    size = {"height": REFERENCE_SIDE, "width": REFERENCE_SIDE}
    CLIPImageProcessor(
        size={"shortest_edge": REFERENCE_SIDE}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(out / "feature_extractor")


def take_back(model: Path, work: Path) -> None:
    """The networks of a model as weights to go on from."""
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    network = Denoiser(tokenizer)
    for folder, part in get_parts(network).items():
        (path,) = (model / folder).glob("*.safetensors")
        part.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    stored = load_file(model / ADAPTER / IMAGE_PROMPT)
    network.projection.load_state_dict(
        {
            name.removeprefix("image_proj.").replace("proj.", "image_embeds."): value.float()
            for name, value in stored.items()
        }
    )
    tokenizer.save_pretrained(work / "tokenizer")
    save(network.state_dict(), work / "denoiser.safetensors")


def assemble(work: Path, out: Path, depth: Path) -> None:
    """The whole folder."""
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    network = Denoiser(tokenizer)
    network.load_state_dict(load_file(work / "denoiser.safetensors"))
    depth_network = DepthNetwork.from_pretrained(depth)
    for old in out.glob("*/"):
        shutil.rmtree(old)
    for folder, part in get_parts(network).items():
        save_network(part, out / folder)
    save_network(depth_network, out / "depth")
    tokenizer.save_pretrained(out / "tokenizer")
    build_scheduler().save_pretrained(out / "scheduler")
    save_image_prompt(network.projection, out)
    settings = {
        "controlnets": CONTROLS,
        "depth_estimator": "depth",
        "defaults": DEFAULTS,
        "image_prompt": ADAPTER,
        "looks": prompts.LOOKS,
        "cells": CELLS,
        "pixels": PIXELS,
        "tones": {name: tone.words for name, tone in TONES.items()},
        "grades": {name: asdict(tone.grade) for name, tone in TONES.items()},
        "words": prompts.vocabulary(),
    }
    for name, content in (("model_index.json", INDEX), ("stylize.json", settings)):
        (out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("src/stylize/pocket"))
    parser.add_argument("--depth", type=Path, help="the depth network; that of --out if left out")
    parser.add_argument("--back", action="store_true", help="put the networks of --out into --work, to go on from them")
    args = parser.parse_args()
    if args.back:
        take_back(args.out, args.work)
        return
    assemble(args.work, args.out, args.depth or args.out / "depth")
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
