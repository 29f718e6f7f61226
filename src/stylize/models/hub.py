"""Where a network is kept: a file, a folder, or a repository of the hub; the hub's are brought here first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError

from stylize.errors import LOADING, ModelError, Say

BROKEN_FILES = (*LOADING, SafetensorError)
"""What libraries raise on weights that are damaged, incomplete, or of another kind."""
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
MODEL_FILES = (
    "*.json", "*/*.json", "*/*.txt", "unet/*.safetensors", "vae/*.safetensors", "text_encoder*/*.safetensors",
    "image_encoder/*.safetensors", "*_[01]/*.safetensors", "controlnet*/*.safetensors",
)  # fmt: skip
"""What a model's repository is asked for: never a pickle, nor a second copy in another format."""
PART_FILES = ("*.json", "*.safetensors")
MAIN_FILES = ("model_index.json", "config.json", "pytorch_lora_weights.safetensors")
"""Of a model, a part of one, and a LoRA: whatever else a repository has, it has one of them."""


@dataclass(frozen=True)
class Place:
    """A folder or a repository, and what in it is meant."""

    text: str
    """As it was given, for messages."""
    folder: Path | None
    repository: str = ""
    subfolder: str = ""
    file: str = ""

    @property
    def path(self) -> Path:
        """The file or folder on disk; only of a place that is on disk."""
        assert self.folder is not None
        return self.folder / self.subfolder / self.file


def parse_place(text: str | Path) -> Place:
    """A path, `owner/repository`, or `owner/repository/subfolder/file.safetensors`.

    Raises:
        ModelError: there is no such path and no repository can have this name; or it is a pickle, which can run code.
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


def fetch(place: Place, files: Sequence[str], *, offline: bool = False, say: Say | None = None) -> Place:
    """The place on disk; a repository's files come from the hub's cache, or from the hub with progress.

    Args:
        files: patterns of what is wanted of a whole repository; of a place with a file, that alone is.
        say: gets one line with the size before a download begins.

    Raises:
        ModelError: not on disk and offline, not on the hub, or the download broke off.
    """
    if place.folder is not None:
        return place
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    inside = f"{place.subfolder}/" if place.subfolder else ""
    wanted = [inside + place.file] if place.file else [inside + pattern for pattern in files]
    here = _in_cache(place.repository, wanted)
    if offline or _hub_is_off():
        if here is None:
            raise ModelError(f"{place.text}: not on disk, and offline", "go online once, or name a folder that has it")
        return Place(place.text, here, subfolder=place.subfolder, file=place.file)
    try:
        if here is None and say is not None:
            say(f"{place.repository}: {_size(place.repository, wanted)} come from the hub, once")
        folder = Path(snapshot_download(place.repository, allow_patterns=wanted))  # only what is missing
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        what = f"{place.text}: not on disk and not on the hub"
        raise ModelError(what, "check the name, or go online once; what has come is kept") from error
    return Place(place.text, folder, subfolder=place.subfolder, file=place.file)


def _in_cache(repository: str, wanted: Sequence[str]) -> Path | None:
    """The repository's folder in the hub's cache, if it has anything of what is wanted."""
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


def _size(repository: str, wanted: Sequence[str]) -> str:
    """What a download will bring, in words."""
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(repository, files_metadata=True).siblings or []
    asked = (entry for entry in siblings if any(fnmatch(entry.rfilename, pattern) for pattern in wanted))
    return f"{sum(entry.size or 0 for entry in asked) / 1e9:.1f} GB"


def is_on_disk(place: str) -> bool:
    """Whether it is a path that exists, or the hub's own cache has its main file."""
    if Path(place).expanduser().exists():
        return True
    from huggingface_hub import try_to_load_from_cache

    owner, _, rest = place.partition("/")
    name, _, inside = rest.partition("/")
    files = [inside] if Path(inside).suffix else [str(PurePosixPath(inside) / file) for file in MAIN_FILES]
    return any(isinstance(try_to_load_from_cache(f"{owner}/{name}", file), str) for file in files)


def hub_cache() -> Path:
    """The hub's own cache folder."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
