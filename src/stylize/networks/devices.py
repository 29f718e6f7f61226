"""Devices: which one is taken, in which number format, and how data lies on it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from stylize.errors import ModelError

KNOWN = ("cpu", "cuda", "mps")
"""Devices whose own free memory can be asked."""


def default_dtype(device: torch.device) -> torch.dtype:
    """Returns float16 on GPUs, and on CPUs bfloat16 where it is faster than float32.

    The instruction set alone does not tell.

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
    """Returns the named device, or the best one of this machine.

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


def memory_format(device: torch.device) -> torch.memory_format:
    """Returns the memory layout of convolution weights: channels last is quicker on CPUs, not on GPUs.

    Measured in docs/performance.md and, on one card, docs/models.md.
    """
    return torch.channels_last if device.type == "cpu" else torch.preserve_format


def free_bytes(device: torch.device) -> int | None:
    """Returns the free memory of the device; `None` where it cannot be asked."""
    if device.type == "cuda":  # memory that torch keeps between uses is free for us
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(psutil.virtual_memory().available)


def full_size_slice(device: torch.device) -> int:
    """Returns how many frames go together through layers at full resolution: the VAE, the ControlNets' embeddings.

    They take the most memory of all. On CPUs one by one is quicker as well, by the caches (docs/performance.md).
    """
    return 1 if device.type == "cpu" else 4


def upload(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Copies a tensor to a device; to a GPU through pinned memory, without waiting for what it is doing."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True).to(dtype)
    return tensor.to(device, dtype)


def start_download(tensor: torch.Tensor) -> tuple[torch.Tensor, Callable[[], None]]:
    """Starts to copy a tensor from its device.

    Returns:
        The copy on the CPU, and a function that returns once it is complete.
    """
    if tensor.device.type != "cuda":
        return tensor.cpu(), lambda: None
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()
    return pinned, copied.synchronize
