"""Camera moves as text ("push in + handheld") and in files of key poses, turned into poses over time."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stylize.errors import StyleError

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Where a camera is, relative to the one that took the still."""

    move: Vector = (0.0, 0.0, 0.0)
    """Right, up and forward, in units of the distance to the subject."""
    turn: Vector = (0.0, 0.0, 0.0)
    """To the right, upwards, and rolled clockwise, in degrees."""
    zoom: float = 1.0
    """Focal length as a multiple of the still's."""

    def then(self, other: Pose) -> Pose:
        """Returns both together."""
        move = tuple(a + b for a, b in zip(self.move, other.move, strict=True))
        turn = tuple(a + b for a, b in zip(self.turn, other.turn, strict=True))
        return Pose(move, turn, self.zoom * other.zoom)  # type: ignore[arg-type]

    def blend(self, other: Pose, share: float) -> Pose:
        """Returns the pose at a share of the way to another one."""
        move = tuple(a + share * (b - a) for a, b in zip(self.move, other.move, strict=True))
        turn = tuple(a + share * (b - a) for a, b in zip(self.turn, other.turn, strict=True))
        return Pose(move, turn, self.zoom + share * (other.zoom - self.zoom))  # type: ignore[arg-type]


class Movement(Protocol):
    """One part of a camera path."""

    def at(self, seconds: float, duration: float) -> Pose:
        """Returns the pose at a time, 0 to `duration`."""
        ...


EASINGS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda s: s,
    "ease": lambda s: s * s * (3 - 2 * s),
    "ease-in": lambda s: s * s,
    "ease-out": lambda s: s * (2 - s),
    "hold": lambda s: float(s >= 1),
}
"""How much of the way is gone at a share of the time."""


def _orbit(angle: float) -> Callable[[float], Pose]:
    def move(share: float) -> Pose:
        turned = math.radians(angle * share)  # on a circle around the subject, looking at it
        return Pose((math.sin(turned), 0, 1 - math.cos(turned)), (-angle * share, 0, 0))

    return move


def _crane(height: float) -> Callable[[float], Pose]:
    return lambda share: Pose((0, height * share, 0), (0, -math.degrees(math.atan(height * share)), 0))


MOVES: Mapping[str, Callable[[float], Callable[[float], Pose]]] = {
    "push in": lambda a: lambda s: Pose((0, 0, 0.25 * a * s)),
    "pull out": lambda a: lambda s: Pose((0, 0, -0.25 * a * s)),
    "truck left": lambda a: lambda s: Pose((-0.1 * a * s, 0, 0)),
    "truck right": lambda a: lambda s: Pose((0.1 * a * s, 0, 0)),
    "crane up": lambda a: _crane(0.1 * a),
    "crane down": lambda a: _crane(-0.1 * a),
    "pan left": lambda a: lambda s: Pose(turn=(-10 * a * s, 0, 0)),
    "pan right": lambda a: lambda s: Pose(turn=(10 * a * s, 0, 0)),
    "tilt up": lambda a: lambda s: Pose(turn=(0, 6 * a * s, 0)),
    "tilt down": lambda a: lambda s: Pose(turn=(0, -6 * a * s, 0)),
    "orbit left": lambda a: _orbit(-8 * a),
    "orbit right": lambda a: _orbit(8 * a),
    "orbit": lambda a: _orbit(8 * a),
    "dolly zoom": lambda a: lambda s: Pose((0, 0, 0.3 * a * s), zoom=max(0.1, 1 - 0.3 * a * s)),
    "zoom in": lambda a: lambda s: Pose(zoom=1 + 0.25 * a * s),
    "zoom out": lambda a: lambda s: Pose(zoom=1 / (1 + 0.25 * a * s)),
    "still": lambda a: lambda s: Pose(),
}
"""Camera moves by name: from an amount, 1 is usual, to the pose at a share of the way."""
HANDHELD = "handheld"
LARGEST = 4.0
"""The most that a move may be multiplied by."""


@dataclass(frozen=True)
class Move:
    """A move of `MOVES` over the whole duration."""

    name: str
    amount: float = 1.0
    easing: str = "ease"

    def at(self, seconds: float, duration: float) -> Pose:
        """Returns the pose at a time."""
        return MOVES[self.name](self.amount)(EASINGS[self.easing](min(1.0, seconds / duration)))


@dataclass(frozen=True)
class Handheld:
    """The small movements of a camera in a hand: slow sines, all beginning at rest."""

    amount: float = 1.0

    def at(self, seconds: float, duration: float) -> Pose:
        """Returns the pose at a time; the duration does not matter."""

        def sway(number: int) -> float:
            waves = ((0.31, 1.0), (0.73, 0.5), (1.57, 0.2))  # hertz, share
            phases = [2.4 * number + 1.7 * i for i in range(len(waves))]
            return sum(
                share * (math.sin(2 * math.pi * hertz * seconds + phase) - math.sin(phase))
                for (hertz, share), phase in zip(waves, phases, strict=True)
            )

        shift, angle = 0.004 * self.amount, 0.25 * self.amount
        move = (shift * sway(0), shift * sway(1), shift * sway(2))
        return Pose(move, (angle * sway(3), angle * sway(4), 0.3 * angle * sway(5)))


@dataclass(frozen=True)
class KeyPoses:
    """Poses at times, from a file; before the first and after the last one, these stay."""

    poses: tuple[tuple[float, Pose, str], ...]
    """Seconds, pose, and the easing of the way to it; the seconds rise."""

    def at(self, seconds: float, duration: float) -> Pose:
        """Returns the pose at a time; the duration does not matter."""
        before, pose, _ = self.poses[0]
        for time, following, easing in self.poses[1:]:
            if seconds < time:
                share = max(0.0, (seconds - before) / (time - before))
                return pose.blend(following, EASINGS[easing](share))
            before, pose = time, following
        return pose


@dataclass(frozen=True)
class CameraPath:
    """A camera's way through a scene: some movements at once."""

    text: str = "push in"
    parts: Sequence[Movement] = field(default=(Move("push in"),), compare=False)

    def at(self, seconds: float, duration: float) -> Pose:
        """Returns the pose at a time in [0, `duration`]."""
        pose = Pose()
        for part in self.parts:
            pose = pose.then(part.at(seconds, duration))
        return pose


def parse_camera(text: str) -> CameraPath:
    """Reads a camera path: moves joined by "+", each with an amount and an easing if wanted, or a TOML file of poses.

    Examples: "push in", "orbit left 0.5 + handheld", "pan right 2 linear", "path.toml".

    Raises:
        StyleError: a move is not known, or the file cannot be read.
    """
    if text.strip().lower().endswith(".toml"):
        return CameraPath(text, (read_key_poses(Path(text.strip())),))
    return CameraPath(text, tuple(_parse_move(part.strip().lower()) for part in text.split("+")))


def _parse_move(text: str) -> Movement:
    words = re.split(r"[\s_]+|(?<=[a-z])-(?=in\b|out\b|left\b|right\b|up\b|down\b|zoom\b)", text)
    easing = words.pop() if words[-1] in EASINGS else "ease"
    try:
        amount = float(words[-1])
        words.pop()
    except (ValueError, IndexError):
        amount = 1.0
    name = " ".join(words)
    if not 0 <= amount <= LARGEST:
        raise StyleError(f"amount {amount:g} of '{name}' is out of range", f"use 0 to {LARGEST:g}")
    if name == HANDHELD:
        return Handheld(amount)
    if name not in MOVES:
        known = ", ".join((*MOVES, HANDHELD))
        raise StyleError(f"'{text}' is not a camera move", f"use {known}, joined by +, or a .toml file of key poses")
    return Move(name, amount, easing)


def read_key_poses(path: Path) -> KeyPoses:
    """Reads key poses from TOML: tables `[[pose]]` with `at` (seconds), `move`, `turn`, `zoom` and `easing`.

    Raises:
        StyleError: the file cannot be read, or holds something else.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StyleError(f"{path}: cannot be read ({error.strerror})", "check the name") from error
    except ValueError as error:
        raise StyleError(f"{path}: is not TOML ({error})", "write [[pose]] tables with at, move, turn, zoom") from error
    tables = content.get("pose")
    is_list = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if not tables or not is_list or set(content) != {"pose"}:
        raise StyleError(f"{path}: holds no key poses", "write [[pose]] tables with at, move, turn, zoom")
    poses = tuple(_read_pose(path, table) for table in tables)
    if any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(poses)):
        raise StyleError(f"{path}: the times of its poses do not rise", "give each pose a later 'at'")
    return KeyPoses(poses)


def _read_pose(path: Path, table: Mapping[str, Any]) -> tuple[float, Pose, str]:
    known: dict[str, Any] = {"at": 0.0, "move": (0, 0, 0), "turn": (0, 0, 0), "zoom": 1.0, "easing": "ease"}
    if strange := set(table) - set(known):
        raise StyleError(f"{path}: a pose has no '{min(strange)}'", f"use {', '.join(known)}")
    values = known | dict(table)
    try:
        move, turn = (tuple(float(x) for x in values[name]) for name in ("move", "turn"))
        at, zoom = float(values["at"]), float(values["zoom"])
    except (TypeError, ValueError) as error:
        raise StyleError(f"{path}: a pose is not made of numbers", "write move = [0, 0, 0.2]") from error
    finite = all(map(math.isfinite, (*move, *turn, at, zoom)))
    if len(move) != 3 or len(turn) != 3 or not finite or at < 0 or not 0.1 <= zoom <= 10:
        raise StyleError(f"{path}: a pose is out of range", "give three numbers to move and turn, zoom 0.1 to 10")
    if not isinstance(values["easing"], str) or values["easing"] not in EASINGS:
        raise StyleError(f"{path}: there is no easing '{values['easing']}'", f"use {', '.join(EASINGS)}")
    return at, Pose(move, turn, zoom), values["easing"]
