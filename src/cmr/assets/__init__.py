"""Outside files: found in a mirror or fetched, verified, unpacked and put whole below `data/raw/`."""

from cmr.assets.local import folder_digest
from cmr.assets.obtain import Status, check_asset, mirror_folders, obtain, single_file, status
from cmr.assets.stock import Stock

__all__ = ["Status", "Stock", "check_asset", "folder_digest", "mirror_folders", "obtain", "single_file", "status"]
