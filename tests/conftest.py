"""Shared by all tests: offline, one thread, and a tiny random model with Stable Diffusion's real architecture."""

from __future__ import annotations

import functools
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # spinning OpenMP threads on busy cores cost many times the work

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from stylize.models.loading import load_networks
from stylize.networks import Networks
from tiny_models import build_tiny_model

torch.set_num_threads(1)
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """GPU tests skip without a GPU, unless this machine must have one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        if os.environ.get("STYLIZE_REQUIRE_GPU") == "1":
            pytest.fail("STYLIZE_REQUIRE_GPU is set, but there is no GPU")
        pytest.skip("no GPU")


@pytest.fixture(autouse=True)
def random_state() -> Iterator[None]:
    """No test leaks its random state into the next."""
    torch.manual_seed(0)
    np.random.seed(0)
    yield


@pytest.fixture(autouse=True)
def usual_priority() -> Iterator[None]:
    """No test leaves the next one a real-time thread: SVT-AV1, asked by a helper, makes one where the user is root."""
    yield
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny random model."""
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> Networks:
    """The tiny random model, loaded."""
    return load_networks(tiny_model, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tiny random model of a family; each is made once."""

    @functools.cache
    def folder(family: str) -> Path:
        return build_tiny_model(tmp_path_factory.mktemp("models") / family, family=family)

    return folder
