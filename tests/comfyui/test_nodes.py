"""The ComfyUI nodes, loaded, validated and run as ComfyUI does it, without ComfyUI."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from clips import make_clip
from media import picture
from stylize import Style, StyleError, Stylizer
from stylize.networks import Networks
from stylize.networks.vocabulary import Vocabulary

PACK = Path(__file__).parents[2] / "comfyui"
VHS = {
    "VHS_LoadVideo": ("IMAGE", "INT", "AUDIO", "VHS_VIDEOINFO"), "VHS_VideoCombine": ("VHS_FILENAMES",),
    "VHS_VideoInfoLoaded": ("FLOAT", "INT", "FLOAT", "INT", "INT"), "VHS_BatchManager": ("VHS_BatchManager",),
}  # fmt: skip
"""Outputs of the nodes of VideoHelperSuite that the example uses."""
SETTINGS = {
    "prompt": "ink", "strength": 0.5, "structure": 1.0, "temporal": 1.0, "mode": "full", "seed": 0, "fps": 25.0,
    "steps": 2,
}  # fmt: skip
SAME = Style(prompt="ink", strength=0.5, steps=2, structure=1.0, style_weight=1.0, reference_weight=1.0)


class Interrupted(Exception):
    """ComfyUI's exception where the user cancels."""


class BatchManager:
    """As VideoHelperSuite's: the loader opens an input at the beginning, and takes it away with the last batch."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.has_closed_inputs = False

    def read(self, *, is_last: bool) -> None:
        self.inputs.setdefault("1", (iter(()), 64, 48))
        if is_last:
            del self.inputs["1"]
            self.has_closed_inputs = True


class Comfy:
    """What nodes see of ComfyUI: its progress bar, its cancel button, its model folders."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, Any]] = []
        self.cancel_at: int | None = None
        self.files = {"checkpoints": ["dreamy.safetensors"], "loras": ["ink.safetensors"], "vae": []}

    def modules(self) -> dict[str, ModuleType]:
        comfy, utils, management = ModuleType("comfy"), ModuleType("comfy.utils"), ModuleType("comfy.model_management")
        folder_paths, this = ModuleType("folder_paths"), self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
                assert preview is None or (preview[0] == "JPEG" and preview[1].mode == "RGB")
                this.steps.append((value, total or self.total, preview))

        def throw_exception_if_processing_interrupted() -> None:
            if this.cancel_at is not None and len(this.steps) >= this.cancel_at:
                raise Interrupted

        utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
        management.throw_exception_if_processing_interrupted = throw_exception_if_processing_interrupted  # type: ignore[attr-defined]
        management.unload_all_models = lambda: None  # type: ignore[attr-defined]
        comfy.utils, comfy.model_management = utils, management  # type: ignore[attr-defined]
        folder_paths.get_filename_list = lambda folder: this.files[folder]  # type: ignore[attr-defined]
        folder_paths.get_full_path = lambda folder, name: f"/models/{folder}/{name}"  # type: ignore[attr-defined]
        return {
            "comfy": comfy, "comfy.utils": utils, "comfy.model_management": management, "folder_paths": folder_paths,
        }  # fmt: skip


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Comfy:
    made = Comfy()
    for name, module in made.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.fixture
def pack(comfy: Comfy) -> Iterator[ModuleType]:
    """The node pack, imported by its path as ComfyUI imports `custom_nodes`."""
    name = str(PACK).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(name)]:
        del sys.modules[loaded]


def images(count: int = 8, *, first: int = 0) -> torch.Tensor:
    return torch.from_numpy(make_clip(count, first=first).frames).float() / 255


def call(pack: ModuleType, name: str, **inputs: Any) -> tuple[Any, ...]:
    """Validates the inputs by the rules of ComfyUI's execution.py, then runs the node as it does."""
    node = pack.NODE_CLASS_MAPPINGS[name]
    types = node.INPUT_TYPES()
    for group in ("required", "optional"):
        for key, info in types.get(group, {}).items():
            assert key in inputs or group == "optional", f"required input is missing: {key}"
            if key in inputs:
                check_value(key, info, inputs[key])
    unknown = inputs.keys() - {key for group in types.values() for key in group}
    assert not unknown, unknown
    with torch.inference_mode():
        result = getattr(node(), node.FUNCTION)(**inputs)
    made = result["result"] if isinstance(result, dict) else result
    assert isinstance(made, tuple) and len(made) == len(node.RETURN_TYPES)
    return made


def check_value(key: str, info: Any, value: Any) -> None:
    kind, options = info[0], info[1] if len(info) > 1 else {}
    if isinstance(kind, list):
        assert value in kind, f"{key}: {value} not in {kind}"
    if kind in ("INT", "FLOAT"):
        assert type(value) is {"INT": int, "FLOAT": float}[kind], f"{key}: {value!r}"
        assert options.get("min", value) <= value <= options.get("max", value), f"{key}: {value}"
    if kind in ("STRING", "BOOLEAN"):
        assert isinstance(value, {"STRING": str, "BOOLEAN": bool}[kind])
    if kind in ("IMAGE", "MASK"):
        assert value.dtype == torch.float32 and value.ndim in ((4,) if kind == "IMAGE" else (2, 3))


def test_the_pack_says_what_comfyui_asks(pack: ModuleType) -> None:
    assert pack.NODE_CLASS_MAPPINGS.keys() == pack.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        assert name.startswith("Stylize") and node.CATEGORY == "stylize" and node.DESCRIPTION
        assert callable(getattr(node, node.FUNCTION))
        assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == len(node.OUTPUT_TOOLTIPS)
        for group in ("required", "optional"):
            for key, info in node.INPUT_TYPES().get(group, {}).items():
                assert key in ("lora_weight",) or info[1]["tooltip"], f"{name}.{key}"
                if "default" in info[1]:
                    check_value(key, info, info[1]["default"])
        json.dumps({group: {k: list(v) for k, v in inputs.items()} for group, inputs in node.INPUT_TYPES().items()})


def test_loading(pack: ModuleType, comfy: Comfy, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pack.NODE_CLASS_MAPPINGS["StylizeLoad"].INPUT_TYPES()["required"]["model"][0]
    assert models[0] == "pocket" and "sd15" in models and "dreamy.safetensors" in models
    (stylizer,) = call(pack, "StylizeLoad", model="pocket", path=str(tiny_model))
    assert isinstance(stylizer, Stylizer) and stylizer.networks.vocabulary is None
    (pocket,) = call(pack, "StylizeLoad", model="pocket")
    assert pocket.networks.name == "pocket"
    asked: list[Any] = []
    restyle = sys.modules[f"{pack.__name__}.restyle"]
    monkeypatch.setattr(restyle, "load_stylizer", lambda *a, **k: asked.append((a, k)))
    call(pack, "StylizeLoad", model="dreamy.safetensors", lora="ink.safetensors", lora_weight=0.5, vae="taesd")
    assert asked == [
        (("/models/checkpoints/dreamy.safetensors",),
         {"loras": {"/models/loras/ink.safetensors": 0.5}, "vae": "taesd", "offline": True})
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["full", "fast"])
def test_the_frames_of_a_stream(pack: ModuleType, comfy: Comfy, tiny: Networks, mode: str) -> None:
    stylizer = Stylizer(tiny, batch=2)
    made, state = call(pack, "StylizeRestyle", stylizer=stylizer, images=images(), **SETTINGS | {"mode": mode})
    assert made.shape == (8, 48, 64, 3) and made.dtype == torch.float32 and made.min() >= 0 and made.max() <= 1
    from dataclasses import replace

    expected = np.concatenate([clip.frames for clip in stylizer.stream([make_clip(8)], replace(SAME, mode=mode))])
    assert np.array_equal((made * 255).round().to(torch.uint8).numpy(), expected)
    assert [step[:2] for step in comfy.steps] == [(i, 8) for i in range(1, 9)] and comfy.steps[0][2] is not None
    assert state.frames == 8


@pytest.mark.parametrize("by", ["state", "batch manager"])
def test_any_length_in_batches(pack: ModuleType, tiny: Networks, by: str) -> None:
    """12 frames in batches of 4 are those of one batch, whether states are linked or the batch manager is."""
    stylizer, unique = Stylizer(tiny, batch=2), "7"
    (whole, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=images(12), **SETTINGS)
    manager = BatchManager()
    for stops_early in (True, False, False):  # cancelled, whole, and whole once more
        parts, state = [], None
        manager.reset()
        for first in (0, 4, 8):
            if by != "state":
                manager.read(is_last=first == 8)
            more = {"meta_batch": manager, "unique_id": unique} if by != "state" else {"state": state} if state else {}
            part, state = call(
                pack, "StylizeRestyle", stylizer=stylizer, images=images(4, first=first), **SETTINGS, **more
            )
            parts.append(part)
            if stops_early and first == 4:
                break
        assert torch.equal(torch.cat(parts), whole[: 4 * len(parts)])
    assert state is not None and state.frames == 12 and manager.outputs == {}, "the manager's own table is its own"


def test_a_video_of_one_batch_begins_anew(pack: ModuleType, tiny: Networks) -> None:
    """Also where the manager's own node did not run again, as ComfyUI keeps what has not changed."""
    stylizer, manager, made = Stylizer(tiny, batch=2), BatchManager(), []
    manager.read(is_last=True)
    for _ in range(2):
        part, state = call(
            pack, "StylizeRestyle", stylizer=stylizer, images=images(4), meta_batch=manager, unique_id="7", **SETTINGS
        )
        made.append(part)
        assert state.frames == 4
    assert torch.equal(*made)


def test_cancelling_in_the_middle(pack: ModuleType, comfy: Comfy, tiny: Networks) -> None:
    comfy.cancel_at = 3
    with pytest.raises(Interrupted):
        call(pack, "StylizeRestyle", stylizer=Stylizer(tiny, batch=1), images=images(), **SETTINGS)
    assert len(comfy.steps) == 3
    comfy.cancel_at = None
    call(pack, "StylizeRestyle", stylizer=Stylizer(tiny, batch=1), images=images(2), **SETTINGS)


def test_a_mask(pack: ModuleType, tiny: Networks) -> None:
    """Where it is 0, frames stay as they are; one for all, or one a frame."""
    mask = torch.zeros(48, 64)
    mask[:, 40:] = 1
    stylizer, source = Stylizer(tiny, batch=1), images(3)
    (one, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, mask=mask, **SETTINGS)
    assert torch.allclose(one[:, :, :40], source[:, :, :40], atol=1e-6) and not torch.equal(one, source)
    (many, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, mask=mask.expand(3, -1, -1), **SETTINGS)
    assert torch.equal(one, many)
    with pytest.raises(StyleError, match="there are 2 masks"):
        call(pack, "StylizeRestyle", stylizer=stylizer, images=source, mask=mask.expand(2, -1, -1), **SETTINGS)


def test_working_smaller_gives_the_size_back(pack: ModuleType, tiny: Networks) -> None:
    (made, _) = call(pack, "StylizeRestyle", stylizer=Stylizer(tiny), images=images(2), fit=64, **SETTINGS)
    assert made.shape == (2, 48, 64, 3)
    (made, _) = call(
        pack, "StylizeRestyle", stylizer=Stylizer(tiny), images=images(2).repeat(1, 2, 2, 1), fit=64, **SETTINGS
    )
    assert made.shape == (2, 96, 128, 3)


def test_a_reference_and_transparency(pack: ModuleType) -> None:
    from stylize import load_stylizer

    stylizer, red = load_stylizer("pocket", device="cpu"), torch.zeros(1, 64, 64, 3)
    red[..., 0] = 0.9
    clear = torch.cat([images(1), torch.ones(1, 48, 64, 1)], -1)
    (plain, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=clear, **SETTINGS | {"prompt": "oil painting"})
    asked = SETTINGS | {"prompt": "oil painting", "strength": 1.0}
    (referred, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=clear, reference=red, **asked)
    assert plain.shape == (1, 48, 64, 3)
    assert (referred[..., 0] - referred[..., 2]).mean() > (plain[..., 0] - plain[..., 2]).mean() + 0.05


def test_painted_keyframes(pack: ModuleType, tiny: Networks) -> None:
    source = images(6)
    painted = (source[[0, 5]] * torch.tensor([1.0, 0.6, 0.4])).clamp(0, 1)
    (paintings,) = call(pack, "StylizePaintedKeyframes", images=painted[1:], frames="5")
    (paintings,) = call(pack, "StylizePaintedKeyframes", images=painted[:1], frames="0", paintings=paintings)
    assert [painting.frame for painting in paintings] == [0, 5]
    stylizer = Stylizer(tiny, batch=1)
    (made, state) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, paintings=paintings, **SETTINGS)
    assert torch.allclose(made[[0, 5]], painted, atol=0.01)
    near = (made[2] - source[2] * torch.tensor([1.0, 0.6, 0.4])).abs().mean()
    (without, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, **SETTINGS)
    assert near < 0.5 * (without[2] - source[2] * torch.tensor([1.0, 0.6, 0.4])).abs().mean()
    for bad, said in (
        ({"images": painted, "frames": "0"}, "2 pictures"), ({"images": painted, "frames": "0, x"}, "not numbers"),
        ({"images": painted, "frames": "3 3"}, "painted twice"), ({"images": painted, "frames": "-1 3"}, "from 0"),
    ):  # fmt: skip
        with pytest.raises(StyleError, match=said):
            call(pack, "StylizePaintedKeyframes", **bad)
    for more, said in (
        ({"paintings": paintings, "state": state}, "whole video in one batch"),
        ({"paintings": [paintings[1]._replace(frame=9)]}, "frame 9 is painted, but there are 6"),
        ({"paintings": [paintings[0]._replace(picture=picture(0, 40, 96))]}, "is 40x96"),
    ):
        with pytest.raises(StyleError, match=said):
            call(pack, "StylizeRestyle", stylizer=stylizer, images=source, **SETTINGS, **more)


def test_paintings_are_not_graded(pack: ModuleType, tiny: Networks) -> None:
    words = frozenset(["ink", "at", "night"])
    grades = {"night": {"gamma": 3.0}}
    known = Vocabulary({"ink": ("ink",)}, {"night": ("at night",)}, words, pixels={"ink": 4}, grades=grades)
    stylizer, source = Stylizer(replace(tiny, vocabulary=known), batch=1), images(3)
    painted = (source[:1] * torch.tensor([1.0, 0.6, 0.4])).clamp(0, 1)
    (paintings,) = call(pack, "StylizePaintedKeyframes", images=painted, frames="0")
    asked = SETTINGS | {"prompt": "ink at night"}
    (made, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, paintings=paintings, **asked)
    assert torch.allclose(made[:1], painted, atol=0.01)
    (plain, _) = call(pack, "StylizeRestyle", stylizer=stylizer, images=source, **asked)
    assert len(plain[0].reshape(-1, 3).unique(dim=0)) <= 16  # without paintings all of it is done


@pytest.mark.parametrize("kind", ["depth", "canny", "strokes"])
def test_maps(pack: ModuleType, comfy: Comfy, kind: str) -> None:
    (made,) = call(pack, "StylizeMaps", images=images(4), kind=kind, cells="stones", seed=3)
    assert made.shape == (4, 48, 64, 3) and made.min() >= 0 and made.max() <= 1 and made.std() > 0.05
    assert (torch.equal(made[..., 0], made[..., 2])) == (kind != "strokes") and len(comfy.steps) == 4
    if kind == "strokes":
        assert torch.equal(made, call(pack, "StylizeMaps", images=images(4), kind=kind, cells="stones", seed=3)[0])
        assert not torch.equal(made, call(pack, "StylizeMaps", images=images(4), kind=kind, cells="stones", seed=4)[0])


def test_maps_are_those_that_a_run_takes(pack: ModuleType, tiny: Networks) -> None:
    from stylize.structure import take_maps

    (made,) = call(pack, "StylizeMaps", images=images(3), kind="depth", stylizer=Stylizer(tiny))
    maps, _ = take_maps(make_clip(3), ["depth"], tiny.estimate_depth, None)
    assert np.allclose(made[..., 0].numpy(), maps.maps["depth"][:, 0], atol=1e-6)


def test_measuring(pack: ModuleType) -> None:
    source = images(4)
    text, warp_error, detail = call(pack, "StylizeMeasure", source=source, styled=source)
    assert "warp_error" in text and "style_change 0.000" in text
    flicker = (source * torch.tensor([1.0, 0.7, 1.0, 0.7])[:, None, None, None]).clamp(0, 1)
    assert call(pack, "StylizeMeasure", source=source, styled=flicker)[1] > 2 * warp_error and -1 <= detail <= 1
    assert "too few" in call(pack, "StylizeMeasure", source=source[:1], styled=source[:1])[0]
    with pytest.raises(StyleError, match="4 and 3 frames"):
        call(pack, "StylizeMeasure", source=source, styled=source[1:])


def test_the_example_workflow(pack: ModuleType, tiny: Networks) -> None:
    """Its links fit the nodes' types, its values pass, and it runs, with stand-ins for the loader and the saver."""
    workflow = json.loads((PACK / "example_workflows" / "restyle.json").read_text())
    nodes = {node["id"]: node for node in workflow["nodes"]}
    linked: dict[int, dict[str, tuple[int, int]]] = {number: {} for number in nodes}
    for number, source, slot, target, place, kind in workflow["links"]:
        output, taken = nodes[source]["outputs"][slot], nodes[target]["inputs"][place]
        assert output["type"] == taken["type"] == kind and number in output["links"] and taken["link"] == number
        assert types_of(pack, nodes[source]["type"])[slot] == kind
        linked[target][taken["name"]] = source, slot
    results: dict[int, tuple[Any, ...]] = {
        1: (images(6), 6, "sound", {}),
        4: (25.0, 6, 0.24, 64, 48),
        7: (BatchManager(),),
    }
    for node in sorted(nodes.values(), key=lambda node: node["order"]):
        if node["type"] in VHS:
            continue
        given = read_widgets(pack.NODE_CLASS_MAPPINGS[node["type"]], node["widgets_values"], linked[node["id"]])
        given |= {name: results[source][slot] for name, (source, slot) in linked[node["id"]].items()}
        results[node["id"]] = call(pack, node["type"], **given, **{"unique_id": "3"} if node["id"] == 3 else {})
    assert results[2][0].networks.name == "pocket" and results[3][0].shape == (6, 48, 64, 3)
    assert "warp_error" in results[6][0]


def types_of(pack: ModuleType, name: str) -> tuple[str, ...]:
    return VHS[name] if name in VHS else pack.NODE_CLASS_MAPPINGS[name].RETURN_TYPES


def read_widgets(node: Any, values: list[Any], linked: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a node's fields, in their order; a seed is followed by what happens to it after a run."""
    types, given, rest = node.INPUT_TYPES(), {}, list(values)
    for group in ("required", "optional"):
        for name, info in types.get(group, {}).items():
            if isinstance(info[0], list) or info[0] in ("INT", "FLOAT", "STRING", "BOOLEAN"):
                given[name] = rest.pop(0)
                if name == "seed" and "StylizeRestyle" in node.__name__:
                    assert rest.pop(0) == "fixed"
    assert rest == []
    return {name: value for name, value in given.items() if name not in linked}


def test_the_pack_can_be_published() -> None:
    import tomllib

    about = tomllib.loads((PACK / "pyproject.toml").read_text())
    main = tomllib.loads((PACK.parent / "pyproject.toml").read_text())["project"]
    assert {"name", "version", "description", "license", "dependencies"} <= about["project"].keys()
    assert about["tool"]["comfy"].keys() == {"PublisherId", "DisplayName", "Icon"}
    assert about["project"]["requires-python"] == main["requires-python"]
    assert about["project"]["dependencies"] == [], "the name on PyPI is another program's"
