"""Which outside files are to be had here, before anything is fetched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmr.assets.obtain import Status, status


@dataclass(frozen=True)
class Stock:
    """The assets of a checkout and where each is or would come from; the network is not asked.

    Attributes
    ----------
    specs : name -> entry in `config/assets/`.
    mirrors, raw : as for `cmr.assets.status`.
    downloads : whether files that only a web address has can be had.
    without : assets to count as missing whatever there is.
    """

    specs: Mapping[str, Mapping[str, Any]]
    mirrors: Sequence[Path]
    raw: Path
    downloads: bool = True
    without: frozenset[str] = frozenset()
    _known: dict[str, Status] = field(default_factory=dict, repr=False, compare=False)

    def status(self, asset: str) -> Status:
        if asset not in self._known:
            self._known[asset] = status(asset, self.specs[asset], self.mirrors, self.raw)
        return self._known[asset]

    def lacks(self, asset: str) -> bool:
        """Whether the asset is not to be had without the user's doing."""
        found = self.status(asset)
        out_of_reach = found.state == "by hand" or (found.from_network and not self.downloads)
        return out_of_reach or asset in self.without

    def copy_lacks(self, places: str | Iterable[str]) -> bool:
        """Whether the copy that is here, if it is unpacked, has none of these places, each `<asset>/<path>`."""
        copies = [(self.status(asset).folder, path) for asset, path in map(_split, _listed(places))]
        return all(folder is not None and not (folder / path).exists() for folder, path in copies)


def _listed(places: str | Iterable[str]) -> list[str]:
    return [places] if isinstance(places, str) else list(places)


def _split(place: str) -> tuple[str, str]:
    asset, _, path = place.partition("/")
    return asset, path
