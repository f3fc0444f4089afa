"""What made a result: package versions, the library's own code, and fingerprints of whatever went in."""

import hashlib
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "h5py", "torch", "torchvision", "opencv-python-headless", "scikit-image",
    "pywavelets", "gensim", "nltk", "pillow",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that numbers depend on, without importing them."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def code() -> dict[str, str]:
    """SHA-256 of the source of every library module loaded so far, by the module's name."""
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "cmr"}
    files = {name: Path(module.__file__) for name, module in sorted(modules.items()) if getattr(module, "__file__", "")}
    return {name: file_sha256(file) for name, file in files.items()}


def code_digest() -> str:
    """One digest of the same: work begun by other code is not continued."""
    return fingerprint(**code())


def fingerprint(**facts: Any) -> str:
    """SHA-256 of named facts: anything that JSON can hold, and NumPy arrays by dtype, shape and bytes."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=_describe).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return [str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")
