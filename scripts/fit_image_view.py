"""Let an image view learn from the images of a split's train part."""

import logging
import shutil
from pathlib import Path

from cmr import store
from cmr.datasets.images import usable_images
from cmr.datasets.pairs import label_matrix
from cmr.errors import UserError, run_main
from cmr.progress import Progress
from cmr.views.base import ImageView, LabelledImages
from cmr.views.configured import arguments as arguments_of_view
from cmr.views.configured import configured, provenance


def main() -> None:
    """Arguments in, one file of named arrays out."""
    parser = arguments_of_view(__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--images", type=Path, required=True, help="images.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True, help="folder that the image paths start from")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (views that use torch)")
    parser.add_argument("--fitted", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    view = configured(ImageView, arguments.implementation, arguments.options, arguments.assets, learnt=True)
    device = "cpu"
    if view.uses_torch:
        from cmr.device import resolve_device  # imports torch, which other views do without

        device = str(resolve_device(arguments.device))
    usable, _ = usable_images(arguments.pairs, arguments.images)
    split = store.read_table(arguments.split)
    # An image that several captions share is learnt from once.
    parts = {
        part: usable[usable["id"].isin(ids)].drop_duplicates("sha256") for part, ids in split.groupby("part")["id"]
    }
    if not len(parts["train"]):
        raise UserError("no image of the train part can be used")
    labelled = {
        part: LabelledImages([arguments.raw / path for path in rows["image"]], label_matrix(usable, rows["id"]))
        for part, rows in parts.items()
        if len(rows)
    }
    checkpoints = arguments.fitted.with_name(f".{arguments.fitted.name}.checkpoints")
    view.fit(
        labelled["train"],
        labelled.get("valid"),
        workers=arguments.workers,
        device=device,
        progress=Progress(checkpoints=checkpoints),
    )
    inputs = {"pairs": arguments.pairs, "images": arguments.images, "split": arguments.split}
    about = provenance(view, arguments.implementation, arguments.options, arguments.assets, inputs)
    train_ids = usable.loc[usable["id"].isin(split.loc[split["part"] == "train", "id"]), "id"].to_numpy()
    store.write_arrays(arguments.fitted, {**view.state(), "train_ids": train_ids}, about)
    if checkpoints.exists():
        shutil.rmtree(checkpoints)


if __name__ == "__main__":
    run_main(main)
