"""Restyling: frames and their maps in, restyled frames out, the past as an explicit value."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
import torch
from torch.nn import functional as F

from stylize.frames import Clip, Image, Picture, StructureMaps, to_bytes
from stylize.motion import Motion, motion_between
from stylize.motion.fusion import Seen, fuse
from stylize.networks import Networks, choose_batch
from stylize.networks.budget import BATCH
from stylize.restyle.conditions import Conditions
from stylize.restyle.denoise import Passage, advance, begin
from stylize.restyle.memory import Memory
from stylize.structure import DepthRange
from stylize.structure.coarsen import coarsened, flattened

LATENT_GRID = 8
STRETCH = 64
"""Frames after which all that are under way are finished before the next goes in: there a run can go on later."""

TakeMaps = Callable[[Clip, DepthRange | None], tuple[StructureMaps, DepthRange | None]]
"""The maps of a clip, and the shot's range of depth before and after it."""


def restyle_frames(
    networks: Networks,
    conditions: Conditions,
    frames: Iterable[Clip],
    take_maps: TakeMaps,
    memory: Memory,
    batch: int | None = None,
) -> Iterator[tuple[Clip, Memory | None]]:
    """Restyles frames, each with what the ones before it left in the memory.

    Args:
        frames: clips of one frame; those that begin a shot say so.
        batch: frames that may be under way at once, at most as many as there are steps; as `choose_batch` says if left
            out. It changes frames by no more than rounding does.

    Yields:
        The restyled clips, beside each the memory after it where a run could go on: no frame is read beyond it.
    """
    frames = iter(frames)
    if (first := next(frames, None)) is None:
        return
    batch = choose_batch(networks, first.size, batch, conditions.load)
    with Wave(networks, conditions, memory) as wave:
        for group, rests in gathered(itertools.chain([first], frames), batch):
            if group[0].starts_shot:
                yield from ((done, None) for done in wave.finished())
                wave.cut()
            maps, depth_range = take_maps(_pictures(group), wave.depth_range)
            for i, frame in enumerate(group):
                while len(wave) >= batch:
                    yield from ((done, None) for done in wave.step())
                wave.enter(frame, maps.part(i), depth_range)
                yield from ((done, None) for done in wave.step())
            if rests:
                yield from ((done, wave.memory if wave.is_at_rest else None) for done in wave.finished())
        yield from ((done, None) for done in wave.finished())


def gathered(frames: Iterable[Clip], batch: int) -> Iterator[tuple[list[Clip], bool]]:
    """Groups of up to `batch` consecutive frames of a shot, and whether all are to be finished after this one.

    Of no more than `BATCH`: the maps of a group are taken at once.
    """
    group: list[Clip] = []
    for count, frame in enumerate(frames, 1):
        if group and (frame.starts_shot or frame.index != group[-1].index + 1):
            yield group, False
            group = []
        group.append(frame)
        rests = batch == 1 or count % STRETCH == 0
        if rests or len(group) == min(batch, BATCH):
            yield group, rests
            group = []
    if group:
        yield group, False


def _pictures(group: list[Clip]) -> Clip:
    """The group as one clip, for its maps."""
    if len(group) == 1:
        return group[0]
    times, durations = (tuple(frame.times[0] for frame in group), tuple(frame.durations[0] for frame in group))
    return Clip(np.concatenate([frame.frames for frame in group]), times, durations, group[0].index)


def restyle_frame(
    networks: Networks,
    conditions: Conditions,
    frame: Clip,
    maps: StructureMaps,
    memory: Memory,
    motion: Motion | None = None,
) -> tuple[Clip, Memory]:
    """Restyles one frame by itself.

    Args:
        motion: how the last frame of the memory moved into this one, if that is known already.

    Returns:
        The restyled frame, and the memory after it.
    """
    with Wave(networks, conditions, memory) as wave:
        wave.enter(frame, maps, memory.depth_range, motion)
        (styled,) = wave.finished()
        return styled, wave.memory


@dataclass(frozen=True, eq=False)
class _UnderWay:
    clip: Clip
    passage: Passage
    motion: Future[Motion] | None
    """From the frame before, found out while the networks work."""


@dataclass(frozen=True, eq=False)
class _Decoded:
    frame: _UnderWay
    done: Future[tuple[Seen, Picture]]
    """With what is taken over from the frame before, while the networks go on; and the result as bytes."""


class Wave:
    """The frames of a shot that are under way, each at least a denoising step behind the one before.

    Beside the networks a thread finds the motion of what goes in, and fuses what comes out with the frame before.
    """

    def __init__(self, networks: Networks, conditions: Conditions, memory: Memory) -> None:
        self.memory = memory
        """After the last frame that came out."""
        self._networks, self._conditions = networks, conditions
        self._next, self._last = memory, memory.last.source if memory.last else None
        self._frames: deque[_UnderWay] = deque()
        self._decoded: deque[_Decoded] = deque()
        self._beside = ThreadPoolExecutor(1, "stylize-fusion")  # one, so that what was asked for first is done first

    def __enter__(self) -> Wave:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def depth_range(self) -> DepthRange | None:
        """The shot's, after the last group that went in."""
        return self._next.depth_range

    @property
    def is_at_rest(self) -> bool:
        """All that went in came out."""
        return not self._frames and not self._decoded

    def cut(self) -> None:
        """The next frame begins a shot; none is under way."""
        self.memory = self._next = self.memory.cut()
        self._last = None

    @torch.inference_mode()
    def enter(
        self, clip: Clip, maps: StructureMaps, depth_range: DepthRange | None, motion: Motion | None = None
    ) -> None:
        """Encodes a frame and its maps and puts it behind the others; a `step` must follow before the next."""
        networks, conditions, picture = self._networks, self._conditions, clip.frames[0]
        source = coarsened(flattened(picture, conditions.footage), conditions.structure)
        signed = _padded(torch.from_numpy(_signed(source)).permute(2, 0, 1)[None])
        pixels = signed.to(networks.device, networks.vae.dtype)
        generator = torch.Generator("cpu").manual_seed(_seed_of_shot(conditions.seed, self._next.shot))
        moved = None
        if conditions.temporal.fusion > 0 and self._last is not None:  # as late as that: small work waits for cores
            moved = self._beside.submit(_motion, self._last, picture, motion)
        latents = networks.encode(pixels, generator)
        controls = {
            name: networks.embed_control(name, _padded(torch.from_numpy(maps.maps[name]).expand(-1, 3, -1, -1)))
            for name in conditions.controls
        }
        memory = replace(self._next, depth_range=depth_range)
        passage = begin(networks, conditions, latents, controls, generator, memory, clip.times[0])
        self._frames.append(_UnderWay(clip, passage, moved))
        self._next, self._last = memory.after(passage.cache, None), picture

    def finished(self) -> Iterator[Clip]:
        """Takes all that are under way to their end, as it is iterated."""
        while self._frames:
            yield from self.step()
        yield from self._out(len(self._decoded))
        self._next = self.memory  # with caches that grow no more

    def step(self) -> Iterator[Clip]:
        """Takes all one step on, as it is iterated; the restyled clips of those that were done before it come out."""
        ready = len(self._decoded)
        with torch.inference_mode():
            advance(self._networks, self._conditions, [frame.passage for frame in self._frames])
            while self._frames and self._frames[0].passage.is_done:
                self._decode(self._frames.popleft())
        yield from self._out(ready)

    def _decode(self, frame: _UnderWay) -> None:
        picture, weight = frame.clip.frames[0], self._conditions.temporal.fusion
        decoded = self._networks.decode(frame.passage.latents)[0, :, : picture.shape[0], : picture.shape[1]]
        pixels = decoded.permute(1, 2, 0).cpu().numpy()
        before = self._decoded[-1].done if self._decoded else self.memory.last
        done = self._beside.submit(_fused, before, picture, pixels, frame.motion, weight)
        self._decoded.append(_Decoded(frame, done))

    def _out(self, count: int) -> Iterator[Clip]:
        """The first `count` of those that are decoded."""
        for _ in range(count):
            frame, (seen, result) = self._decoded[0].frame, self._decoded[0].done.result()
            memory = replace(self.memory, depth_range=frame.passage.memory.depth_range)
            self.memory = memory.after(tuple(frame.passage.cache), seen)
            self._decoded.popleft()
            yield replace(frame.clip, frames=result[None])


def _motion(before: Picture, picture: Picture, known: Motion | None) -> Motion:
    return known or motion_between(before, picture)


def _fused(
    before: Future[tuple[Seen, Picture]] | Seen | None,
    picture: Picture,
    pixels: Image,
    motion: Future[Motion] | None,
    weight: float,
) -> tuple[Seen, Picture]:
    """Decoded pixels, around [-1, 1], to the frame as it will be; what was asked for before this is done by now."""
    halves = np.ascontiguousarray(pixels) / np.float32(2)  # decoders that lie channels first give a view
    styled: Image = np.clip(halves + np.float32(0.5), 0, 1, dtype=np.float32)
    last = before.result()[0] if isinstance(before, Future) else before
    if last is not None and motion is not None:
        styled = fuse(last, picture, styled, motion.result(), weight)
    return Seen(picture, styled), to_bytes(styled)


def _signed(picture: Picture) -> Image:
    """uint8 to float32 in [-1, 1], in this thread alone: for so little the others would be waited for in vain."""
    halves = np.divide(picture, np.float32(127.5), dtype=np.float32)
    return np.subtract(halves, 1, out=halves)


def _seed_of_shot(seed: int, shot: int) -> int:
    """Every frame of a shot draws the same noise: fresh noise a frame would be flicker."""
    return int(np.random.SeedSequence([seed, max(shot, 0)]).generate_state(1, np.uint64)[0] >> 1)


def _padded(pixels: torch.Tensor) -> torch.Tensor:
    """Repeats the last row and column until both sides are divisible by 8; cropped back after decoding."""
    below, right = (-side % LATENT_GRID for side in pixels.shape[-2:])
    return F.pad(pixels, (0, right, 0, below), mode="replicate") if below or right else pixels
