"""Devices: which one, in which number format, and what fits into its memory."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from stylize.errors import ModelError


def default_dtype(device: torch.device) -> torch.dtype:
    """float16 on GPUs; on CPUs bfloat16 where it is faster than float32, which the instruction set alone does not tell.

    Measured (docs/performance.md): AMX and AMD's AVX512-BF16 gain; Intel's AVX512-BF16 without AMX loses a third.
    """
    if device.type in ("cuda", "mps", "xpu"):
        return torch.float16
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if amx or (bf16 and _is_amd()) else torch.float32


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(errors="replace")[:4096]
    except OSError:
        return "AMD" in platform.processor()


def choose_device(name: str | None) -> torch.device:
    """The named device, or the best one here.

    Raises:
        ModelError: it is not available.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device '{name}' is not available", "use cpu, or install a torch that supports it") from error
    return device
