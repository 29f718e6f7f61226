"""Cameras as matrices: from a pose to rays and pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stylize.style.camera import Pose

Matrix = npt.NDArray[np.float64]
"""`[3, 3]`."""
Points = npt.NDArray[np.float32]
"""`[..., 3]`: right, down and forward of the still's camera."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera whose optical axis goes through the middle of the picture."""

    size: tuple[int, int]
    focal: float
    """Focal length in pixels."""
    rotation: Matrix
    """From this camera's axes to the still's."""
    position: npt.NDArray[np.float64]
    """In the still's axes."""

    @classmethod
    def of_still(cls, size: tuple[int, int], focal: float) -> Camera:
        """Returns the camera that took the still."""
        return cls(size, focal, np.eye(3), np.zeros(3))

    @property
    def center(self) -> tuple[float, float]:
        """The pixel that the optical axis goes through."""
        return (self.size[0] - 1) / 2, (self.size[1] - 1) / 2

    @property
    def is_at_rest(self) -> bool:
        """True for a camera at the still's place, looking the same way."""
        return bool(np.allclose(self.rotation, np.eye(3), atol=1e-9) and np.allclose(self.position, 0, atol=1e-9))

    def unproject(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], inverse_depth: Points) -> Points:
        """Returns the points, in the still's axes, that are seen at pixels with an inverse depth above 0."""
        forward = 1 / inverse_depth
        across, down = (x - self.center[0]) * forward / self.focal, (y - self.center[1]) * forward / self.focal
        points = np.stack([across, down, forward], -1)
        return np.asarray(points @ self.rotation.T.astype(np.float32) + self.position.astype(np.float32), np.float32)

    def project(self, points: Points) -> tuple[Points, Points, Points]:
        """Returns x, y and inverse depth of points; the inverse depth is 0 or below behind the camera."""
        seen = (points - self.position.astype(np.float32)) @ self.rotation.astype(np.float32)
        forward = seen[..., 2]
        inverse = np.where(forward > 1e-6, 1 / np.maximum(forward, 1e-6), 0)
        x = seen[..., 0] * inverse * self.focal + self.center[0]
        y = seen[..., 1] * inverse * self.focal + self.center[1]
        return np.asarray(x, np.float32), np.asarray(y, np.float32), np.asarray(inverse, np.float32)


def place_camera(pose: Pose, size: tuple[int, int], focal: float, distance: float) -> Camera:
    """Returns the camera of a pose.

    Args:
        focal: focal length of the still, in pixels.
        distance: distance to the subject, which poses are measured in.
    """
    right, up, forward = pose.move
    yaw, pitch, roll = np.radians(pose.turn)
    turn = _turn_about_y(yaw) @ _turn_about_x(pitch) @ _turn_about_z(roll)
    return Camera(size, focal * pose.zoom, turn, np.array([right, -up, forward]) * distance)


def _turn_about_y(angle: float) -> Matrix:
    """Turns the view to the right."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _turn_about_x(angle: float) -> Matrix:
    """Turns the view upwards."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _turn_about_z(angle: float) -> Matrix:
    """Rolls the camera clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
