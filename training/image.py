"""The image prompt: image encoder, projection to tokens, and two heads that are only there to teach the encoder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.models.embeddings import ImageProjection
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from text import WIDTH

REFERENCE_SIDE, IMAGE_TOKENS, STYLE_NUMBERS = 128, 4, 100
PROJECTION = Path("image_projection") / "model.safetensors"


class ImagePrompter(torch.nn.Module):
    def __init__(self, looks: int) -> None:
        super().__init__()
        self.encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(
            hidden_size=192, intermediate_size=384, num_hidden_layers=4, num_attention_heads=6,
            image_size=REFERENCE_SIDE, patch_size=8, projection_dim=WIDTH,
        ))  # fmt: skip
        self.projection = ImageProjection(WIDTH, WIDTH, IMAGE_TOKENS)
        self.look, self.style = torch.nn.Linear(WIDTH, looks), torch.nn.Linear(WIDTH, STYLE_NUMBERS)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`[B, 3, 128, 128]` in [-1, 1] to embeddings `[B, WIDTH]` and tokens `[B, IMAGE_TOKENS, WIDTH]`."""
        seen = self.encoder(pictures).image_embeds
        return seen, self.projection(seen)

    def seeing(self, seen: torch.Tensor, looks: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
        """How badly embeddings tell what was shown.

        Args:
            looks: index of the look, -1 where a style picture was shown, `[B]`, on the CPU.
            styles: the teacher's numbers `[B, STYLE_NUMBERS]` of style pictures.
        """
        loss = seen.sum() * 0
        named, described = (rows.nonzero()[:, 0].to(seen.device) for rows in (looks >= 0, looks < 0))
        if len(named):
            loss = loss + 0.3 * F.cross_entropy(self.look(seen), looks.to(seen.device), ignore_index=-1)
        if len(described):
            loss = loss + F.mse_loss(self.style(seen[described]), styles[described])
        return loss

    def save(self, folder: Path) -> None:
        self.encoder.save_pretrained(folder / "image_encoder")
        (folder / PROJECTION).parent.mkdir(exist_ok=True)
        heads = {"proj": self.projection, "look": self.look, "style": self.style}
        tensors = {f"{n}.{k}": v.contiguous() for n, m in heads.items() for k, v in m.state_dict().items()}
        save_file(tensors, folder / PROJECTION)

    def load(self, folder: Path) -> None:
        """Goes on from what `save` wrote, if there is anything."""
        if not (folder / PROJECTION).exists():
            return
        encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", local_files_only=True)
        self.encoder.load_state_dict(encoder.state_dict())
        stored = load_file(folder / PROJECTION)
        for prefix, head in (("proj.", self.projection), ("look.", self.look), ("style.", self.style)):
            weights = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
            if weights:  # a finished model has no heads
                head.load_state_dict(weights)
