"""Puts the trained networks into one folder in diffusers format, in float16, beside what `stylize` needs to know.

python training/assemble.py --work training/work --out src/stylize/pocket
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

import prompts
from stylize.depth import DepthNetwork
from train_unet import CONTROLS, LATENT_SCALE

DEFAULTS = {"steps": 6, "strength": 0.75, "guidance_scale": 1.0, "controls": {"depth": 0.6, "canny": 1.3}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("src/stylize/pocket"))
    args = parser.parse_args()
    for old in args.out.glob("*/"):
        shutil.rmtree(old)
    folders = {f"controlnet_{name}": "controlnet" + (f"_{i}" if i else "") for i, name in enumerate(CONTROLS)}
    modules = {
        "vae": AutoencoderTiny, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel, "depth": DepthNetwork,
        **dict.fromkeys(folders, ControlNetModel),
    }  # fmt: skip
    for name, kind in modules.items():
        network = kind.from_pretrained(args.work / name).to(torch.float16)
        if name == "vae":
            network.register_to_config(scaling_factor=LATENT_SCALE)
        network.save_pretrained(args.out / folders.get(name, name))
    CLIPTokenizer.from_pretrained(args.work / "tokenizer").save_pretrained(args.out / "tokenizer")
    DDIMScheduler.from_pretrained(args.work / "scheduler").save_pretrained(args.out / "scheduler")
    index = {
        "_class_name": "StableDiffusionControlNetImg2ImgPipeline",
        "controlnet": ["diffusers", "MultiControlNetModel"],
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    settings = {
        "controlnets": {name: folders[f"controlnet_{name}"] for name in CONTROLS},
        "depth_estimator": "depth",
        "defaults": DEFAULTS,
        "looks": prompts.LOOKS,
    }
    for name, content in (("model_index.json", index), ("stylize.json", settings)):
        (args.out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
