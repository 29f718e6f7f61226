"""The command line's options that more than one command has, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stylize.style import Layout, Mode

Prompt = Annotated[str, typer.Option(help="The look in words, such as 'ukiyo-e woodblock print'.")]
NegativePrompt = Annotated[str, typer.Option(help="What to stay away from; needs --guidance above 1.")]
Reference = Annotated[Path | None, typer.Option(help="A picture whose look the video shall have.")]
ReferenceWeight = Annotated[float, typer.Option(help="How much of it: 0 nothing, 1 all, up to 1.5.")]
Model = Annotated[str, typer.Option(help="A name of `stylize models`, a folder, a .safetensors file, a hub id.")]
Strength = Annotated[float | None, typer.Option(help="How far from the source, above 0, up to 1.")]
How = Annotated[Mode, typer.Option("--mode", help="full: diffuse every frame; fast: keyframes, filled in between.")]
TemporalWeight = Annotated[float, typer.Option("--temporal", help="Hold on to earlier frames: 0 not at all, 1 fully.")]
Control = Annotated[
    list[str] | None, typer.Option(help="NAME:WEIGHT or NAME:WEIGHT@FROM-TO, repeatable [default: all it has].")
]
ControlNet = Annotated[list[str] | None, typer.Option(help="NAME=FOLDER or hub id, repeatable: lineart=lllyasviel/...")]
Lora = Annotated[list[str] | None, typer.Option(help="FILE:WEIGHT of a LoRA, repeatable.")]
IpAdapter = Annotated[str | None, typer.Option(help="IP-Adapter file, so that the model reads --reference.")]
TextualInversion = Annotated[list[str] | None, typer.Option(help="File whose name becomes a word, repeatable.")]
Vae = Annotated[str | None, typer.Option(help="VAE in place of the model's own, such as madebyollin/taesd.")]
DepthModel = Annotated[str | None, typer.Option(help="Depth network of transformers in place of MiDaS.")]
GuidanceRescale = Annotated[float, typer.Option(help="Bring guidance's contrast back, 0 to 1.")]
ClipSkip = Annotated[int, typer.Option(help="Last layers of the text encoder to leave out.")]
Memory = Annotated[Layout | None, typer.Option(help="whole, tiled or offloaded [default: what fits].")]
Offline = Annotated[bool, typer.Option("--offline", help="Never ask the hub.")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is off.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps [default: the model's own].")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Size = Annotated[str | None, typer.Option(help="WxH of the result [default: the source's].")]
Fit = Annotated[int | None, typer.Option(help="Longer side for the networks [default: the result's].")]
Start = Annotated[float | None, typer.Option(help="First second to restyle.")]
End = Annotated[float | None, typer.Option(help="Second to stop at.")]
Fps = Annotated[str | None, typer.Option(help="Pictures a second, for pictures: 24 or 30000/1001.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps ... [default: the best one here].")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
