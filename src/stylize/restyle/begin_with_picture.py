"""Shows an image-to-video model the picture that its video begins with, and the latents of the window before."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image as PillowImage

from stylize.errors import ModelError
from stylize.frames import Clip
from stylize.networks.video_networks import Shown, VideoNetworks


def begin_with_picture(
    networks: VideoNetworks, start: Clip, frames: torch.Tensor, before: Mapping[str, torch.Tensor]
) -> tuple[Shown, dict[str, torch.Tensor]]:
    """Returns what a model other than VACE is shown of a window, and what the next window takes over of that.

    The first window begins with its first frame once more (see `VideoRestyler.restyle`): that is the known one. Later
    windows go on from latents, which count as known.

    Args:
        frames: of the window, `[1, 3, 4 N, H, W]` in [-1, 1].

    Raises:
        ModelError: the model cannot be shown what is known of the frames, or must begin with a picture.
    """
    known = _find_known_frames(networks, start)
    has_picture = not before and bool(known[0])
    if networks.conditioning == "words":
        if known.any():
            what = f"{networks.name} cannot go on from a picture, or paint beside one"
            raise ModelError(what, "use --model wan-vace")
        return Shown(), {}
    if networks.conditioning == "tokens":
        if known[1:].any():
            raise ModelError(f"{networks.name} knows the first picture alone", "use --model wan-vace")
        return Shown(networks.encode(frames[:, :, :1]) if has_picture else before.get("latents")), {}
    if not before and not has_picture:
        what = f"{networks.name} makes a video of a picture, and restyles none"
        raise ModelError(what, "use it with stylize generate --image FILE, or --model wan-vace")
    return _show_channels(networks, start, frames, known, before)


def _show_channels(
    networks: VideoNetworks,
    start: Clip,
    frames: torch.Tensor,
    known: torch.Tensor,
    before: Mapping[str, torch.Tensor],
) -> tuple[Shown, dict[str, torch.Tensor]]:
    own = known.clone()
    if not before:
        own[0] = False  # the frame that goes before it shows the picture
    own = torch.cat([own, torch.zeros(frames.shape[2] - len(own), dtype=torch.bool)])  # filled up to whole latents
    lead = frames[:, :, :1] if not before else torch.zeros_like(frames[:, :, :1])
    flags = torch.cat([torch.tensor([not before]), own])
    video = torch.cat([lead, frames], 2) * flags[None, None, :, None, None]
    shown = networks.condition_frames(video, flags)
    if before:
        latents = before["latents"].to(shown)
        masks = torch.ones_like(latents[:, :1]).expand(-1, shown.shape[1] - latents.shape[1], -1, -1, -1)
        shown = torch.cat([torch.cat([masks, latents], 1), shown[:, :, 1:]], 2)
        picture = before.get("picture")
    else:
        picture = networks.encode_picture(PillowImage.fromarray(start.frames[0]))
    return Shown(shown, picture=picture), {} if picture is None else {"picture": picture}


def _find_known_frames(networks: VideoNetworks, start: Clip) -> torch.Tensor:
    """Returns which frames are known as a whole, bool `[T]`; raises ModelError if one is known in part."""
    if start.known is None:
        return torch.zeros(len(start), dtype=torch.bool)
    whole, some = start.known.all((1, 2)), start.known.any((1, 2))
    if (whole != some).any():
        what = f"{networks.name} paints whole frames, not beside a picture"
        raise ModelError(what, "use --model wan-vace, or an inpainting model")
    return torch.from_numpy(whole)
