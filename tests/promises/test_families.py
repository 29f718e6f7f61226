"""Every family of Stable Diffusion through the one loop, against diffusers' own pipelines."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from against import SEED, assert_equal, laid_out, ours
from clips import joined, make_clip, restyled_states
from media import picture
from stylize import Control, ModelError, Style, Stylizer, Temporal
from stylize.models.loading import load_networks
from stylize.models.parts import Extras
from stylize.networks import Networks
from stylize.networks.family import FAMILIES
from stylize.networks.guidance import guidance_embedding
from stylize.restyle import conditions_for
from tiny_models import CONTROLS, add_lora, build_ip_adapter

SIZE = (64, 48)
Folder = Callable[[str], Path]


def load(folder: Path, **extras: Any) -> Networks:
    return load_networks(folder, device="cpu", dtype=torch.float32, extras=Extras(**extras))


def pipeline_of(folder: Path, family: str) -> Any:
    kind = "XL" if family == "sdxl" else ""
    return laid_out(getattr(diffusers, f"StableDiffusion{kind}ControlNetImg2ImgPipeline").from_pretrained(folder))


def both(
    networks: Networks, pipeline: Any, style: Style, **more: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Our latents, theirs from the same noise, and the source's."""
    mine = ours(networks, style, make_clip(1))
    pipeline.scheduler = type(networks.scheduler).from_config(networks.scheduler.config)
    asked = style.asked_controls
    theirs = pipeline(
        prompt=style.prompt, negative_prompt=style.negative_prompt or None, image=mine.image,
        control_image=[mine.controls[name] for name in CONTROLS],
        controlnet_conditioning_scale=[asked[name].weight for name in CONTROLS],
        control_guidance_start=[asked[name].start for name in CONTROLS],
        control_guidance_end=[asked[name].end for name in CONTROLS],
        num_inference_steps=style.steps, strength=style.strength, guidance_scale=style.guidance_scale,
        clip_skip=style.clip_skip or None, generator=torch.Generator().manual_seed(SEED), output_type="latent", **more,
    ).images  # fmt: skip
    return mine.latents, theirs, mine.source


def a_style(**more: Any) -> Style:
    asked: dict[str, Any] = {
        "prompt": "ink drawing", "negative_prompt": "photo", "guidance_scale": 3.0, "steps": 5, "strength": 0.7,
        "controls": {"depth": 0.9, "canny": 0.6}, "temporal": 0.0,
    }  # fmt: skip
    return Style(**(asked | more))


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("family", ["sd21", "sdxl"])
def test_the_loop_equals_diffusers(family_folder: Folder, family: str, guided: bool) -> None:
    folder = family_folder(family)
    style = a_style() if guided else a_style(guidance_scale=1.0, negative_prompt="")
    assert_equal(*both(load(folder), pipeline_of(folder, family), style))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_an_empty_negative_prompt_is_what_diffusers_makes_of_none(family_folder: Folder, family: str) -> None:
    folder = family_folder(family)
    assert_equal(*both(load(folder), pipeline_of(folder, family), a_style(negative_prompt="")))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_clip_skip(family_folder: Folder, family: str) -> None:
    folder = family_folder(family)
    pipeline = pipeline_of(folder, family)
    if family == "sd15":  # diffusers looks for the final norm where transformers before 5.6 had it
        pipeline.text_encoder.__dict__["text_model"] = pipeline.text_encoder
    assert_equal(*both(load(folder), pipeline, a_style(clip_skip=1)))


def test_controls_that_count_in_a_part_of_the_steps(family_folder: Folder) -> None:
    folder = family_folder("sd15")
    parts = {"depth": Control(0.9, end=0.5), "canny": Control(0.6, start=0.3)}
    assert_equal(*both(load(folder), pipeline_of(folder, "sd15"), a_style(steps=8, strength=1.0, controls=parts)))


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        ("LCMScheduler", {}), ("TCDScheduler", {}), ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_few_step_schedulers(family_folder: Folder, family: str, scheduler: str, options: dict[str, Any]) -> None:
    folder = family_folder(family)
    networks = load(folder)
    kind = getattr(diffusers, scheduler)
    networks = replace(networks, scheduler=kind.from_config(networks.scheduler.config, **options))
    # below strength 1 we lay LCM's and TCD's steps otherwise; TCD's own eta is 0.3, its paper's
    more = {"eta": 0.3} if scheduler == "TCDScheduler" else {}
    style = a_style(strength=1.0, guidance_scale=1.0, negative_prompt="")
    assert_equal(*both(networks, pipeline_of(folder, family), style, **more))


def test_guidance_that_the_unet_was_told() -> None:
    """LCM's own UNets read the guidance scale as a condition."""
    from diffusers import LatentConsistencyModelPipeline

    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding
    expected = theirs(None, torch.tensor([7.5 - 1.0]), embedding_dim=256)
    assert torch.allclose(guidance_embedding(7.5, 256), expected, atol=1e-5)


def test_an_lcm_of_its_own(family_folder: Folder, tmp_path: Path) -> None:
    """A UNet that learnt the guidance scale gets it as a condition, in one pass; others would need two."""
    folder = shutil.copytree(family_folder("sd15"), tmp_path / "LCM_tiny")
    (folder / "stylize.json").unlink()
    config = diffusers.UNet2DConditionModel.load_config(folder / "unet")
    torch.manual_seed(3)
    diffusers.UNet2DConditionModel.from_config({**config, "time_cond_proj_dim": 32}).save_pretrained(folder / "unet")
    nets = {name: folder / net for name, net in (("depth", "controlnet"), ("canny", "controlnet_1"))}
    networks = load(folder, controlnets=nets)
    assert type(networks.scheduler).__name__ == "LCMScheduler"
    assert (networks.defaults.steps, networks.defaults.guidance_scale) == (4, 8.0)
    conditions = conditions_for(networks, Style(prompt="ink"))
    assert conditions.prompts.at(Fraction(0)).groups == 1
    clip = make_clip(1)
    strong, weak = (
        joined(list(Stylizer(networks).stream([clip], Style(prompt="ink", guidance_scale=g, controls={"canny": 1}))))
        for g in (8.0, 3.0)
    )
    assert not np.array_equal(strong, weak)


@pytest.mark.parametrize("rescale", [0.3, 0.7])
def test_guidance_rescale(rescale: float) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    from stylize.restyle.denoise import _guide

    without, with_prompt = torch.randn(2, 1, 4, 6, 8)
    expected = rescale_noise_cfg(without + 5 * (with_prompt - without), with_prompt, guidance_rescale=rescale)
    assert torch.allclose(_guide(torch.cat([without, with_prompt]), 5.0, rescale), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_loras(family_folder: Folder, family: str, tmp_path: Path) -> None:
    folder = family_folder(family)
    one, two = (add_lora(tmp_path / f"{name}.safetensors", folder, seed=i) for i, name in enumerate(("ink", "wash")))
    pipeline = pipeline_of(folder, family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the second one
        for name, path in (("ink", one), ("wash", two)):
            pipeline.load_lora_weights(tmp_path, weight_name=path.name, adapter_name=name)
    pipeline.set_adapters(["ink", "wash"], [0.8, 0.5])
    networks = load(folder, loras={one: 0.8, two: 0.5})
    own, theirs, source = both(networks, pipeline, a_style())
    assert_equal(own, theirs, source)
    plain, _, _ = both(load(folder), pipeline_of(folder, family), a_style())
    assert (own - plain).abs().max() > 0.01
    assert networks.name.endswith(" + ink:0.8 + wash:0.5")


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_ip_adapter(family_folder: Folder, family: str, plus: bool, tmp_path: Path) -> None:
    folder = family_folder(family)
    adapter = build_ip_adapter(tmp_path / "models", folder, plus=plus)
    reference = tmp_path / "painting.png"
    Image.fromarray(picture(9, 80, 60)).save(reference)
    pipeline = pipeline_of(folder, family)
    pipeline.load_ip_adapter(str(tmp_path), subfolder="models", weight_name=adapter.name)
    pipeline.set_ip_adapter_scale(0.6)
    networks = load(folder, ip_adapter=adapter)
    style = a_style(reference=reference, reference_weight=0.6)
    own, theirs, source = both(networks, pipeline, style, ip_adapter_image=Image.open(reference).convert("RGB"))
    assert_equal(own, theirs, source)
    without = joined(list(Stylizer(networks).stream([make_clip(1)], a_style())))
    plain = joined(list(Stylizer(load(folder)).stream([make_clip(1)], a_style())))
    assert np.abs(without.astype(int) - plain).max() <= 1  # no reference, no change
    assert not np.array_equal(without, joined(list(Stylizer(networks).stream([make_clip(1)], style))))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_batches_with_guidance_and_a_reference(family_folder: Folder, family: str, tmp_path: Path) -> None:
    """SDXL's pooled prompts and IP-Adapter's pictures go with their frames."""
    reference = tmp_path / "painting.png"
    Image.fromarray(picture(9, 80, 60)).save(reference)
    networks = load(family_folder(family), ip_adapter=build_ip_adapter(tmp_path / "models", family_folder(family)))
    style = Style(
        prompt="0s: ink; 0.2s: oil painting", guidance_scale=3.0, steps=3, strength=1.0, reference=reference,
        controls={"depth": 1.0, "canny": Control(0.7, 0.0, 0.6)}, temporal=Temporal(1, 0),
    )  # fmt: skip
    alone, together = (restyled_states(networks, [make_clip(7)], style, batch) for batch in (1, 3))
    frames = joined([clip for clip, _ in alone]).astype(int), joined([clip for clip, _ in together])
    assert np.abs(frames[0] - frames[1]).max() <= 1
    one, other = alone[-1][1].last, together[-1][1].last
    assert one is not None and other is not None and np.abs(one.styled - other.styled).max() < 1e-4


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_memory_across_frames(family_folder: Folder, family: str) -> None:
    """Chunks change no pixel, the memory is bounded and of the size that its layers say."""
    networks = load(family_folder(family))
    clip, style = make_clip(4), Style(prompt="ink", steps=4, strength=0.5)
    whole = joined(list(Stylizer(networks).stream([clip], style)))
    parts = [clip.part(i, i + 1, starts_shot=False) for i in range(4)]
    assert np.array_equal(whole, joined(list(Stylizer(networks).stream(parts, style))))
    alone = joined(list(Stylizer(networks).stream([clip], replace(style, temporal=0.0))))
    assert not np.array_equal(whole[1:], alone[1:])
    sizes = [state.memory.nbytes for _, state in restyled_states(networks, parts, style)]
    assert sizes[1] == sizes[2] == sizes[3]
    tokens, width, layers, steps = (64 // 8) * (48 // 8), 32, 2, 2
    assert sizes[3] == 2 * steps * layers * 2 * tokens * width * 4  # style anchor = anchor, so two frames


@pytest.mark.parametrize(
    ("model", "net", "families"), [("sd15", "sdxl", "SDXL, the model is of"), ("sdxl", "sd15", "the model is of SDXL")]
)
def test_a_controlnet_of_another_family(family_folder: Folder, model: str, net: str, families: str) -> None:
    with pytest.raises(ModelError, match=f"is a ControlNet for .*{families}.*: use one that was made for"):
        load(family_folder(model), controlnets={"depth": family_folder(net) / "controlnet"})


def test_a_lora_of_another_family(family_folder: Folder, tmp_path: Path) -> None:
    lora = add_lora(tmp_path / "xl.safetensors", family_folder("sdxl"), seed=0)
    with pytest.raises(ModelError, match=r"xl\.safetensors: is not a LoRA that fits .*: use one that was made for"):
        load(family_folder("sd15"), loras={lora: 1.0})


def test_an_ip_adapter_of_another_family(family_folder: Folder, tmp_path: Path) -> None:
    adapter = build_ip_adapter(tmp_path / "models", family_folder("sdxl"))
    with pytest.raises(ModelError, match="is not an IP-Adapter that fits"):
        load(family_folder("sd15"), ip_adapter=adapter)


def test_an_ip_adapter_without_its_image_encoder(family_folder: Folder, tmp_path: Path) -> None:
    adapter = build_ip_adapter(tmp_path / "models", family_folder("sd15"))
    shutil.rmtree(tmp_path / "models" / "image_encoder")
    with pytest.raises(ModelError, match="has no image encoder beside it: put the adapter's image_encoder folder"):
        load(family_folder("sd15"), ip_adapter=adapter)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_weighted_and_long_prompts(family_folder: Folder, family: str) -> None:
    networks = load(family_folder(family))

    def words(prompt: str) -> torch.Tensor:
        return networks.encode_prompt(prompt, "", guided=True).words

    plain = words("ink drawing")
    assert not torch.allclose(plain, words("ink++ drawing"), atol=1e-3)
    assert torch.allclose(plain[1], words("(ink)1.0 drawing")[1], atol=1e-4)
    long = words("an ink drawing of " + "very old houses " * 12)  # one token a letter: beyond 77
    assert long.shape[1] > plain.shape[1] and long.shape[1] % 77 == 0 and torch.isfinite(long).all()


def test_textual_inversion(family_folder: Folder, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "klimtish.safetensors"
    save_file({"emb_params": torch.randn(3, 32) * 5}, path)
    networks = load(family_folder("sd15"), textual_inversions=[path])
    plain = load(family_folder("sd15"))
    with_word, without = (n.encode_prompt("klimtish", "", guided=False).words for n in (networks, plain))
    assert not torch.allclose(with_word, without, atol=1e-3)
    assert networks.name.endswith(" + klimtish")
    save_file({"emb_params": torch.randn(3, 99)}, tmp_path / "wide.safetensors")
    with pytest.raises(ModelError, match="is not a textual inversion that fits"):
        load(family_folder("sd15"), textual_inversions=[tmp_path / "wide.safetensors"])


def test_another_vae(family_folder: Folder, tmp_path: Path) -> None:
    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8), latent_channels=4,
        num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(tmp_path / "taesd")  # fmt: skip
    networks = load(family_folder("sd15"), vae=tmp_path / "taesd")
    assert type(networks.vae).__name__ == "AutoencoderTiny" and networks.name.endswith(" + taesd")
    out = next(Stylizer(networks).stream([make_clip(1)], Style(prompt="ink")))
    assert out.frames.shape == (1, 48, 64, 3)
    with pytest.raises(ModelError, match="is not a VAE that can be loaded"):
        load(family_folder("sd15"), vae=family_folder("sd15") / "unet")


@pytest.mark.parametrize(("family", "repository"), [("sd15", "madebyollin/taesd"), ("sdxl", "madebyollin/taesdxl")])
def test_a_vae_by_its_name(
    family_folder: Folder, family: str, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the hub's cache, each family's own; what it costs and brings is said."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(FAMILIES, 32, "SD 1.5")  # the tiny model's width
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1")
    torch.manual_seed(1)
    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8), 
        num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(folder / "snapshots" / "1")  # fmt: skip
    lines: list[str] = []
    extras = Extras(vae="taesd")
    networks = load_networks(family_folder(family), device="cpu", extras=extras, say=lines.append)
    assert type(networks.vae).__name__ == "AutoencoderTiny" and networks.name.endswith(" + taesd")
    assert lines == [
        "vae taesd: a small approximation of the model's own; far quicker and lighter, with less fine detail"
    ]


def test_a_vae_for_other_families() -> None:
    with pytest.raises(ModelError, match=r"there is no taesd for .*: taesd is for SD 1\.5, SD 2\.1, SDXL"):
        load_networks("pocket", device="cpu", extras=Extras(vae="taesd"))


def union_folder(model: Path, folder: Path) -> Path:
    """A tiny ControlNet-Union for SDXL, in the hub's layout."""
    config = diffusers.ControlNetModel.load_config(model / "controlnet")
    wanted = (
        "in_channels", "block_out_channels", "down_block_types", "layers_per_block", "attention_head_dim",
        "norm_num_groups", "cross_attention_dim", "use_linear_projection", "addition_embed_type",
        "addition_time_embed_dim", "projection_class_embeddings_input_dim", "conditioning_embedding_out_channels",
    )  # fmt: skip
    torch.manual_seed(7)
    net = diffusers.ControlNetUnionModel(
        **{k: config[k] for k in wanted}, num_trans_channel=32, num_trans_head=4, num_proj_channel=32
    )
    with torch.no_grad():
        for parameter in [*net.controlnet_down_blocks.parameters(), *net.controlnet_mid_block.parameters()]:
            parameter.normal_(std=0.05)
        for parameter in [*net.controlnet_cond_embedding.conv_out.parameters(), *net.spatial_ch_projs.parameters()]:
            parameter.normal_(std=0.1)
    net.save_pretrained(folder)
    return folder


def test_controlnet_union(family_folder: Folder, tmp_path: Path) -> None:
    """One control equals diffusers' union pipeline; several share one network, and each shows."""
    folder = family_folder("sdxl")
    union = union_folder(folder, tmp_path / "union")
    networks = load(folder, controlnets={"depth": union, "canny": union, "normal": union})
    one, other, _ = networks.controlnets.values()
    assert one.network is other.network
    style = a_style(controls={"canny": 0.8})
    clip = make_clip(1)
    mine = ours(networks, style, clip)
    base = pipeline_of(folder, "sdxl")
    net = diffusers.ControlNetUnionModel.from_pretrained(union)
    parts = {name: part for name, part in base.components.items() if name != "controlnet"}
    pipeline = diffusers.StableDiffusionXLControlNetUnionImg2ImgPipeline(**parts, controlnet=net)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt=style.prompt, negative_prompt=style.negative_prompt, image=mine.image,
        control_image=[mine.controls["canny"]],
        control_mode=[3], controlnet_conditioning_scale=0.8, num_inference_steps=5, strength=0.7, guidance_scale=3.0,
        generator=torch.Generator().manual_seed(SEED), output_type="latent",
    ).images  # fmt: skip
    assert_equal(mine.latents, theirs, mine.source)
    results = [
        joined(list(Stylizer(networks).stream([clip], a_style(controls=controls))))
        for controls in ({"depth": 1.0}, {"canny": 1.0}, {"depth": 0.5}, {"depth": 1.0, "canny": 1.0})
    ]
    assert all(not np.array_equal(a, b) for i, a in enumerate(results) for b in results[i + 1 :])
    with pytest.raises(ModelError, match="this ControlNet-Union has no control 'shuffle': it has openpose"):
        load(folder, controlnets={"shuffle": union})
