"""Of an HDF5 file, what lies in the file itself, and nothing else.

HDF5 can lead elsewhere: by links to other files, by numbers that are bytes of a file of any kind, by data sets put
together from other files. A file from a stranger could so read this machine's files, or wait for a pipe for ever. It
can also declare an array of any size without storing one.
"""

import h5py

# Times as large as what is stored of it. NumPy packs zeros 1030 times, and honest tags of photographs up to 850 times.
SWOLLEN = 900
HARMLESS_BYTES = 1 << 30  # of which no matter how little is stored


def own(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """The member that `name`, with slashes between groups, leads to; None where there is none.

    Raises ValueError where a link leads there by a name: into another file, or, perhaps round in circles, in this one.
    """
    node: h5py.Group | h5py.Dataset = group
    for part in filter(None, name.split("/")):
        key = part.encode()
        if not isinstance(node, h5py.Group) or b"\0" in key or not node.id.links.exists(key):
            return None
        if node.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{name} is only a link, and links are not followed: store the array in its place")
        node = node[part]
    return node


def check_stored_here(dataset: h5py.Dataset, shards: bool = False) -> None:
    """Raise ValueError where the numbers of a data set lie in other files.

    shards : it may be put together from data sets of other files.
    """
    if dataset.external:
        raise ValueError(f"the numbers of {dataset.name} lie in another file, {dataset.external[0][0]!r}")
    if dataset.is_virtual and not shards:
        raise ValueError(f"{dataset.name} is put together from other files")


def check_stranger(dataset: h5py.Dataset) -> None:
    """`check_stored_here` and `check_size` of a data set that somebody else has written."""
    check_stored_here(dataset)
    check_size(dataset.name, dataset.nbytes, dataset.id.get_storage_size())


def check_size(name: str | None, declared: int, stored: int) -> None:
    """Raise ValueError where so few bytes are `stored` of those `declared` that reading would only fill the memory."""
    if declared > HARMLESS_BYTES and declared > SWOLLEN * stored:
        raise ValueError(f"{name} declares {declared / 2**30:.3g} GB, of which {stored} bytes are stored")
