"""The built-in model's networks: exact where they can be, the same in bands, without a trace of borders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stylize.networks.patches import BAND, ChangeControlNet, ChangeUNet, PatchAutoencoder

SHAPE = {
    "in_channels": 20, "layers_per_block": 1, "block_out_channels": (16, 32), "attention_head_dim": 4,
    "norm_num_groups": 8, "cross_attention_dim": 16, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
}  # fmt: skip
UP = {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "out_channels": 40, "sample_size": 8}


@pytest.fixture(scope="module")
def vae() -> PatchAutoencoder:
    """With a matrix of orthogonal rows, and a painter that paints."""
    torch.manual_seed(0)
    vae = PatchAutoencoder(latent_channels=20, materials=4, block_out_channels=(16, 16, 16, 16))
    with torch.no_grad():
        rows = torch.linalg.qr(torch.randn(192, 16)).Q.T
        vae.analysis.weight.copy_(rows[..., None, None])
        vae.analysis.bias.zero_()
        vae.synthesis.weight.copy_(rows.T[..., None, None])
        vae.synthesis.bias.zero_()
        vae.painter.last.weight.normal_(std=0.1)
    return vae.eval().requires_grad_(False)


def test_it_is_a_projection(vae: PatchAutoencoder) -> None:
    pixels = torch.rand(1, 3, 32, 48) * 2 - 1
    latents = vae.encode(pixels).latents
    assert latents.shape == (1, 20, 4, 6) and not latents[:, 16:].any()
    back = vae.decode(latents).sample
    assert torch.allclose(vae.encode(back).latents, latents, atol=1e-5)
    assert torch.allclose(vae(back), back, atol=1e-5)


def test_strokes_and_materials_act_together(vae: PatchAutoencoder) -> None:
    latents, strokes = torch.randn(1, 20, 4, 6), torch.rand(1, 3, 32, 48)
    other = latents.clone()
    other[:, 16:] += 1
    assert torch.equal(vae.decode(latents).sample, vae.decode(other).sample)  # no strokes, nothing to draw with
    drawn = vae.decode(latents, strokes=strokes).sample
    assert (drawn - vae.decode(latents).sample).abs().max() > 1e-3
    assert (drawn - vae.decode(other, strokes=strokes).sample).abs().max() > 1e-3
    assert (drawn - vae.decode(latents, strokes=1 - strokes).sample).abs().max() > 1e-3


@pytest.mark.parametrize("rows", [BAND - 1, BAND, BAND + 1, 2 * BAND + 5])
def test_bands_give_the_same_picture(vae: PatchAutoencoder, rows: int) -> None:
    latents, strokes = torch.randn(1, 20, rows, 3), torch.rand(1, 3, 8 * rows, 24)
    whole = vae.decode(latents, strokes=strokes).sample
    vae.enable_tiling()
    try:
        assert torch.allclose(vae.decode(latents, strokes=strokes).sample, whole, atol=1e-5)
    finally:
        vae.disable_tiling()


def test_saved_and_loaded(vae: PatchAutoencoder, tmp_path: Path) -> None:
    unet, net = ChangeUNet(**SHAPE, **UP), ChangeControlNet(**SHAPE)
    for name, part in (("vae", vae), ("unet", unet), ("net", net)):
        part.save_pretrained(tmp_path / name)
        again = type(part).from_pretrained(tmp_path / name, local_files_only=True)
        for one, other in zip(part.state_dict().values(), again.state_dict().values(), strict=True):
            assert torch.equal(one, other)
        assert dict(again.config)["_class_name"] == type(part).__name__
        modes = {module.padding_mode for module in again.modules() if isinstance(module, torch.nn.Conv2d)}
        assert "replicate" in modes


def test_a_unet_that_says_nothing_changes_nothing() -> None:
    unet = ChangeUNet(**SHAPE, **UP)
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    latents = torch.randn(2, 20, 8, 8)
    for options in ({}, {"return_dict": False}):
        made = unet(latents, torch.tensor([5]), torch.randn(2, 4, 16), **options)[0]
        assert torch.equal(made, latents)


@torch.inference_mode()
def test_flat_pictures_come_out_flat(vae: PatchAutoencoder) -> None:
    """To the last pixel: no network of ours sees zeros beside the picture, which would be drawn as a halo."""
    torch.manual_seed(1)
    unet, net = ChangeUNet(**SHAPE, **UP).eval(), ChangeControlNet(**SHAPE).eval()
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    flat, t, words = torch.randn(1, 20, 1, 1).expand(1, 20, 8, 8), torch.tensor([5]), torch.randn(1, 4, 16)
    control = torch.rand(1, 3, 1, 1).expand(1, 3, 64, 64)
    down, middle = net(flat, t, words, control, return_dict=False)
    made = unet(flat, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
    assert (made - made[..., :1, :1]).abs().max() < 1e-4
    drawn = vae.painter(control, control, made[:, 16:]).unfold(2, 2, 2).unfold(3, 2, 2)
    assert (drawn - drawn[:, :, :1, :1]).abs().max() < 1e-4  # it works at half the size
