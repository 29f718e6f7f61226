"""Locates networks in files, folders and repositories of the hub, and downloads the latter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError

from stylize.errors import LOADING, ModelError, Say

BROKEN_FILES = (*LOADING, SafetensorError)
"""Exceptions that libraries raise on weights that are damaged, incomplete, or of the wrong type."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
MODEL_FILES = (
    "*.json", "*/*.json", "*/*.txt", "unet/*.safetensors", "vae/*.safetensors", "text_encoder*/*.safetensors",
    "transformer/*.safetensors",
    "image_encoder/*.safetensors", "*_[01]/*.safetensors", "controlnet*/*.safetensors",
)  # fmt: skip
"""Patterns of the files to fetch for a model: never a pickle, nor a second copy in another format."""
PART_FILES = ("*.json", "*.safetensors")
MAIN_FILES = ("model_index.json", "config.json", "pytorch_lora_weights.safetensors")
"""Main files of a model, of a part of a model, and of a LoRA; every repository has one of them."""


@dataclass(frozen=True)
class Place:
    """The location of a network: a folder or a hub repository, and the subfolder or file in it."""

    text: str
    """The location as the user wrote it, for messages."""
    folder: Path | None
    repository: str = ""
    subfolder: str = ""
    file: str = ""

    @property
    def path(self) -> Path:
        """Path of the file or folder; `folder` must be set."""
        assert self.folder is not None
        return self.folder / self.subfolder / self.file


def parse_place(text: str | Path) -> Place:
    """Parses a path, `owner/repository`, or `owner/repository/subfolder/file.safetensors`.

    Raises:
        ModelError: the path does not exist and is not a valid repository name; or it is a pickle, which can run code.
    """
    given = str(text)
    path = Path(given).expanduser()
    if path.suffix.lower() in PICKLES:
        raise ModelError(f"{given}: is a pickle, which can run code", "convert it to .safetensors")
    if path.is_dir():
        return Place(given, path)
    if path.is_file():
        return Place(given, path.parent, file=path.name)
    parts = given.split("/")
    if len(parts) < 2 or not all(parts) or given.startswith((".", "/", "~")):
        raise ModelError(f"{given}: is neither on disk nor a hub id", "check the name; a hub id is owner/repository")
    file = parts.pop() if len(parts) > 2 and parts[-1].endswith(".safetensors") else ""
    return Place(given, None, "/".join(parts[:2]), "/".join(parts[2:]), file)


def fetch(location: Place, files: Sequence[str], *, offline: bool = False, say: Say | None = None) -> Place:
    """Returns the location on disk; files of a repository come from the hub's cache or are downloaded, with progress.

    Args:
        files: patterns of the files to fetch from a repository; ignored if the location names a single file.
        say: receives one line with the size before a download begins.

    Raises:
        ModelError: not on disk while offline, not on the hub, or the download was interrupted.
    """
    if location.folder is not None:
        return location
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    inside = f"{location.subfolder}/" if location.subfolder else ""
    wanted = [inside + location.file] if location.file else [inside + pattern for pattern in files]
    cached = _find_in_cache(location.repository, wanted)
    if offline or _hub_is_off():
        if cached is None:
            raise ModelError(
                f"{location.text}: not on disk, and offline", "go online once, or name a folder that has it"
            )
        return Place(location.text, cached, subfolder=location.subfolder, file=location.file)
    try:
        if cached is None and say is not None:
            say(f"{location.repository}: {_get_size(location.repository, wanted)} come from the hub, once")
        folder = Path(snapshot_download(location.repository, allow_patterns=wanted))  # fetches only missing files
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        what = f"{location.text}: not on disk and not on the hub"
        raise ModelError(what, "check the name, or go online once; what has come is kept") from error
    return Place(location.text, folder, subfolder=location.subfolder, file=location.file)


def _find_in_cache(repository: str, wanted: Sequence[str]) -> Path | None:
    """Returns the repository's folder in the hub's cache; `None` if it has none of the wanted files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, allow_patterns=list(wanted), local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        return None
    return folder if any(any(folder.glob(pattern)) for pattern in wanted) else None


def _hub_is_off() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _get_size(repository: str, wanted: Sequence[str]) -> str:
    """Returns the size of the wanted files on the hub, as text."""
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(repository, files_metadata=True).siblings or []
    asked = (entry for entry in siblings if any(fnmatch(entry.rfilename, pattern) for pattern in wanted))
    return f"{sum(entry.size or 0 for entry in asked) / 1e9:.1f} GB"


def is_on_disk(location: str) -> bool:
    """True if the path exists, or the hub's cache has the main file."""
    if Path(location).expanduser().exists():
        return True
    from huggingface_hub import try_to_load_from_cache

    owner, _, rest = location.partition("/")
    name, _, inside = rest.partition("/")
    files = [inside] if Path(inside).suffix else [str(PurePosixPath(inside) / file) for file in MAIN_FILES]
    return any(isinstance(try_to_load_from_cache(f"{owner}/{name}", file), str) for file in files)


def hub_cache() -> Path:
    """Returns the hub's cache folder."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
