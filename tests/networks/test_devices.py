"""Devices and number formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stylize import ModelError
from stylize.models.loading import default_dtype, load_networks


def test_a_device_that_is_not_there(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="device 'cuda:7' is not available"):
        load_networks(tiny_model, device="cuda:7")


def test_dtype_fits_the_device() -> None:
    assert default_dtype(torch.device("cuda")) == torch.float16
    assert default_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
