"""What made a result: package versions, the library's own code and commit, and fingerprints of whatever went in."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_info

from cmr.construct import is_installed
from cmr.errors import UserError

if TYPE_CHECKING:
    import grimp

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "h5py", "torch", "torchvision", "opencv-python-headless", "scikit-image",
    "pywavelets", "gensim", "nltk", "pillow", "efficientnet-lite-pytorch",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that numbers depend on, without importing them."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def packages() -> dict[str, str]:
    """Installed versions of all packages; what pip leaves of one that it could not remove has no name, and is none."""
    named = [one for one in distributions() if one.name]
    return {one.name: one.version for one in sorted(named, key=lambda one: one.name.lower())}


def machine() -> dict[str, Any]:
    """Where this process computes: all that may round equal work otherwise elsewhere. It names no host and no user.

    system, processor : as these call themselves.
    libraries : of parallel arithmetic that are loaded, each with its version, kernel and number of threads.
    torch_threads, gpu : where torch is loaded.
    """
    known = {
        (one["internal_api"], one.get("version"), one.get("architecture"), one["num_threads"]): one
        for one in threadpool_info()
    }
    keys = {"library": "internal_api", "version": "version", "kernel": "architecture", "threads": "num_threads"}
    told = {
        "system": platform.platform(),
        "processor": _processor(),
        "libraries": [{name: known[one].get(key) for name, key in keys.items()} for one in sorted(known, key=str)],
    }
    if torch := sys.modules.get("torch"):
        told["torch_threads"] = torch.get_num_threads()
        told["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None
    return told


def _processor() -> str:
    """Its model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """The git commit of the checkout that the library runs from, with a "+" behind it where tracked files differ.

    None where there is no git, or the library's files are no repository's own, as those of an installed package.
    """
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    """What git says of the repository around this file, whichever one the environment names, as that of a hook does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", Path(__file__).resolve().parent, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def code() -> dict[str, str]:
    """SHA-256 of all source loaded so far that is no installed package: this library, the script, a user's modules.

    By the module's name; the script by its path, `scripts/<name>.py`.
    """
    files = {}
    modules = {name: module for name, module in sys.modules.items() if name != "__mp_main__"}  # the script once more
    for name, module in sorted(modules.items()):
        file = Path(getattr(module, "__file__", None) or "")
        if file.suffix == ".py" and file.is_file() and (name.split(".")[0] == "cmr" or not is_installed(file)):
            files[f"{file.parent.name}/{file.name}" if name == "__main__" else name] = file
    return {name: file_sha256(file) for name, file in files.items()}


def code_digest() -> str:
    """One digest of the same: work begun by other code is not continued."""
    return fingerprint(**code())


def code_reached_from(*modules: str) -> str:
    """One digest of modules of this library and all of the library that they reach by imports.

    Of a module that is not the library's: of all source loaded so far, since its imports are not known.
    """
    graph = _import_graph()
    if not graph.modules.issuperset(modules):
        return code_digest()
    reached = set(modules).union(*map(graph.find_upstream_modules, modules))
    return fingerprint(**{name: file_sha256(Path(find_spec(name).origin)) for name in sorted(reached)})


@cache
def _import_graph() -> "grimp.ImportGraph":
    import grimp  # only methods with shared stages need it

    return grimp.build_graph("cmr", cache_dir=None)


def fingerprint(**facts: Any) -> str:
    """SHA-256 of named facts: anything that JSON can hold, and NumPy arrays by dtype, shape and bytes.

    Arrays of strings are what they say, however they are held. An object that has `facts` of its own, such as rows of a
    view on disk, is these.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=_describe).encode()).hexdigest()


def digests_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Of files by name: what `check_made_of` compares later."""
    return {name: file_sha256(path) for name, path in files.items()}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_made_of(made: Path, recorded: Mapping[str, str], present: Mapping[str, Path]) -> None:
    """Refuse a file that was made of others than those that lie here, as after one was copied here by hand.

    recorded : what it was made of -> SHA-256, as the file itself tells; what it tells nothing of is not compared.
    present : the same -> the file here.

    Raises UserError naming both files.
    """
    for name in recorded.keys() & present.keys():
        if (now := file_sha256(present[name])) != recorded[name]:
            raise UserError(
                f"{made} was not made of {present[name]} as it is now (SHA-256 {now[:12]}...), but of another version "
                f"({recorded[name][:12]}...): one of the two is outdated, or was copied here from elsewhere. Delete "
                f"the wrong one, or both, and run again: they are then made anew"
            )


def _describe(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":  # the bytes of an array of objects are addresses, other ones in every process
            return ["words", value.shape, value.tolist()]
        array = np.ascontiguousarray(value)
        return [str(array.dtype), array.shape, hashlib.sha256(array).hexdigest()]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "facts"):
        return value.facts
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")
