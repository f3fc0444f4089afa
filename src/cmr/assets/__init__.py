"""Outside files: found in a mirror or fetched, verified, unpacked and put whole below `data/raw/`."""

from cmr.assets.obtain import Status, mirror_folders, obtain, single_file, status

__all__ = ["Status", "mirror_folders", "obtain", "single_file", "status"]
