"""The interface of a group of workers, and the group that is a single one in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from stylize.runs.cluster.worker import UnitWorker

if TYPE_CHECKING:
    from stylize.runs.stylizer import Stylizer


@dataclass(frozen=True)
class Reply:
    """What became of a call."""

    worker: int
    answer: Any = None
    died: str = ""
    """Why the worker, or its call, is lost; empty if there is an answer."""


class Crew(Protocol):
    """Workers, called by their number, each with one call at a time; a context manager whose end ends them all."""

    size: int
    """Number of the workers."""

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Starts a call of a method of `UnitWorker`."""
        ...

    def wait(self, seconds: float) -> Sequence[Reply]:
        """Waits for replies, at most `seconds`."""
        ...

    def replace(self, worker: int) -> None:
        """Puts a new worker, which has loaded nothing, in the place of one that is lost."""
        ...

    def share(self, content: bytes) -> Any:
        """Returns what stands for these bytes as an argument of many calls."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalCrew:
    """One worker in this process, without Ray.

    Args:
        stylizer: the model, if it is loaded already.
    """

    size = 1

    def __init__(self, stylizer: Stylizer | None = None) -> None:
        self._stylizer = stylizer
        self._worker = UnitWorker(stylizer=stylizer)
        self._call: tuple[str, tuple[Any, ...]] | None = None

    def call(self, worker: int, method: str, *arguments: Any) -> None:
        """Notes the call, which `wait` carries out."""
        self._call = method, arguments

    def wait(self, seconds: float) -> Sequence[Reply]:
        """Carries out the call."""
        if self._call is None:
            return []
        (method, arguments), self._call = self._call, None
        try:
            return [Reply(0, getattr(self._worker, method)(*arguments))]
        except Exception as error:  # as with workers elsewhere: the unit gets another try
            return [Reply(0, died=f"{type(error).__name__}: {error}")]

    def replace(self, worker: int) -> None:
        """Makes a new worker."""
        self._worker = UnitWorker(stylizer=self._stylizer)

    def share(self, content: bytes) -> Any:
        """Returns the bytes themselves."""
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()
