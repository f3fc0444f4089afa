"""Extract the features of all images of a data set, or of one shard of them."""

import logging
import shutil
from pathlib import Path

import numpy as np

from cmr import store
from cmr.datasets.images import check_unchanged, usable_images
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.provenance import check_made_of
from cmr.views.base import ImageView
from cmr.views.configured import arguments as arguments_of_view
from cmr.views.configured import configured, provenance, resolved_device
from cmr.views.image.extraction import extract


def main() -> None:
    """Arguments in, one view file out."""
    parser = arguments_of_view(__doc__)
    parser.add_argument("--fitted", type=Path, help="what it has learnt, by scripts/fit_image_view.py")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--images", type=Path, required=True, help="images.parquet of the data set")
    parser.add_argument("--raw", type=Path, required=True, help="folder that the image paths start from")
    parser.add_argument(
        "--shard", type=shard, default="1-of-1", help="e.g. 2-of-8: only the second eighth of the images"
    )
    parser.add_argument("--workers", type=int, default=1, help="batches in the making at once")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N, for views that use torch and no others")
    parser.add_argument(
        "--mixed-precision", action="store_true", help="half precision where safe (views that use torch)"
    )
    parser.add_argument("--view", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()

    view = configured(
        ImageView, arguments.implementation, arguments.options, arguments.assets, arguments.fitted is not None
    )
    inputs, arrays = {"pairs": arguments.pairs, "images": arguments.images}, {}
    if view.learnt:
        inputs["fitted"] = arguments.fitted
        learnt, made = store.read_arrays(arguments.fitted)
        if (made["implementation"], made["options"]) != (arguments.implementation, arguments.options):
            raise UserError(f"{arguments.fitted} was learnt by {made['implementation']} with {made['options']}")
        check_made_of(arguments.fitted, made["inputs"], inputs)
        arrays["train_ids"] = learnt.pop("train_ids")
        view.restore(learnt)
    number, count = arguments.shard
    if number == 1:
        arrays |= view.arrays()  # of several shards, a gathered view takes the first one's
    about = {"precision": "mixed" if arguments.mixed_precision and view.uses_torch else "float32"}
    if device := resolved_device(view, arguments.device):
        about["device"] = device.partition(":")[0]
        view.place(device, arguments.mixed_precision)
    usable, left_out = usable_images(arguments.pairs, arguments.images)
    if count > len(usable):
        raise UserError(f"{count} shards for {len(usable)} images: lower the number in the configuration key shards")
    usable = usable.iloc[np.array_split(np.arange(len(usable)), count)[number - 1]]
    pictures = usable.drop_duplicates("sha256")  # captions may share one
    check_unchanged(pictures, arguments.raw, Progress())
    about |= provenance(view, arguments.implementation, arguments.options, arguments.assets, inputs)
    if view.learnt:
        about["inputs"]["split"] = made["inputs"]["split"]
    # Parts of an interrupted extraction wait beside the view, under a name that no rule declares.
    parts = arguments.view.with_name(f".{arguments.view.name}.parts")
    features = extract(
        view,
        [arguments.raw / path for path in pictures["image"]],
        pictures["sha256"],
        workers=arguments.workers,
        parts=parts,
        identity=about,
        progress=Progress(),
    )
    rows = pictures.reset_index(drop=True).reset_index().set_index("sha256")["index"].loc[usable["sha256"]].to_numpy()
    left_out = left_out if number == 1 else []
    store.write_view(arguments.view, usable["id"], features.blocks(rows), {**about, "counts": False}, left_out, arrays)
    logging.info("%d images of %d items, %d items left out", len(pictures), len(usable), len(left_out))
    shutil.rmtree(parts)


def shard(text: str) -> tuple[int, int]:
    """Number and count of `2-of-8`."""
    number, count = map(int, text.split("-of-"))
    if not 1 <= number <= count:
        raise ValueError
    return number, count


if __name__ == "__main__":
    run_job(main)
