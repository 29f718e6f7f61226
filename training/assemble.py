"""Puts the trained networks into one folder in diffusers format, in float16, beside what `stylize` needs to know.

python training/assemble.py --work training/work --out src/stylize/pocket
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, ControlNetModel, LCMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

import prompts
from denoiser import CONTROLS
from image import PROJECTION, REFERENCE_SIDE
from stylize.models.loading import IMAGE_PROMPT
from stylize.structure.depth_network import DepthNetwork
from tones import TONES
from windows import LATENT_SCALE

ADAPTER = "ip_adapter"
DEFAULTS = {
    "steps": 2, "strength": 0.8, "guidance_scale": 1.0, "controls": {"depth": 0.5, "canny": 1.0}, "full_strength": 0.94,
}  # fmt: skip


def save_image_prompt(work: Path, out: Path) -> None:
    """The projection in IP-Adapter's layout, and what a reference picture goes through before the image encoder."""
    stored = load_file(work / PROJECTION)
    weights = {
        f"image_proj.{k.removeprefix('proj.').replace('image_embeds', 'proj')}": v.half().contiguous()
        for k, v in stored.items() if k.startswith("proj.")
    }  # fmt: skip
    (out / ADAPTER).mkdir(parents=True)
    save_file(weights, out / ADAPTER / IMAGE_PROMPT)
    size = {"height": REFERENCE_SIDE, "width": REFERENCE_SIDE}
    CLIPImageProcessor(
        size={"shortest_edge": REFERENCE_SIDE}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(out / "feature_extractor")


def controlnet_folders() -> dict[str, str]:
    """Their folders in the model by their folders in the work folder."""
    return {f"controlnet_{name}": "controlnet" + (f"_{i}" if i else "") for i, name in enumerate(CONTROLS)}


def take_back(model: Path, work: Path) -> None:
    """The networks of a finished model, where `--resume` looks for them; the image encoder's two heads start anew."""
    same = ("unet", "text_encoder", "vae", "depth", "image_encoder")
    for name, folder in ({name: name for name in same} | controlnet_folders()).items():
        shutil.copytree(model / folder, work / name, dirs_exist_ok=True)
    stored = load_file(model / ADAPTER / IMAGE_PROMPT)
    weights = {
        k.replace("image_proj.proj.", "proj.image_embeds.").replace("image_proj.", "proj."): v.float()
        for k, v in stored.items()
    }
    (work / PROJECTION).parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, work / PROJECTION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("training/work"))
    parser.add_argument("--out", type=Path, default=Path("src/stylize/pocket"))
    parser.add_argument("--back", action="store_true", help="put the networks of --out into --work, to go on from them")
    args = parser.parse_args()
    if args.back:
        take_back(args.out, args.work)
        return
    for old in args.out.glob("*/"):
        shutil.rmtree(old)
    folders = controlnet_folders()
    modules = {
        "vae": AutoencoderTiny, "unet": UNet2DConditionModel, "text_encoder": CLIPTextModel, "depth": DepthNetwork,
        "image_encoder": CLIPVisionModelWithProjection, **dict.fromkeys(folders, ControlNetModel),
    }  # fmt: skip
    for name, kind in modules.items():
        network = kind.from_pretrained(args.work / name).to(torch.float16)
        if name == "vae":
            network.register_to_config(scaling_factor=LATENT_SCALE)
        network.save_pretrained(args.out / folders.get(name, name))
        config = args.out / folders.get(name, name) / "config.json"
        kept = {key: value for key, value in json.loads(config.read_text()).items() if key != "_name_or_path"}
        config.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    CLIPTokenizer.from_pretrained(args.work / "tokenizer").save_pretrained(args.out / "tokenizer")
    LCMScheduler.from_pretrained(args.work / "scheduler").save_pretrained(args.out / "scheduler")
    save_image_prompt(args.work, args.out)
    index = {
        "_class_name": "StableDiffusionControlNetImg2ImgPipeline",
        "controlnet": ["diffusers", "MultiControlNetModel"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "LCMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    settings = {
        "controlnets": {name: folders[f"controlnet_{name}"] for name in CONTROLS},
        "depth_estimator": "depth",
        "defaults": DEFAULTS,
        "image_prompt": ADAPTER,
        "looks": prompts.LOOKS,
        "tones": {name: tone.words for name, tone in TONES.items()},
        "words": prompts.vocabulary(),
    }
    for name, content in (("model_index.json", index), ("stylize.json", settings)):
        (args.out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
