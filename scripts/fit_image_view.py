"""Let an image view learn from the images of a split's train part."""

import logging
import shutil
from pathlib import Path

import pandas as pd

from cmr import store
from cmr.datasets.images import check_unchanged, usable_images
from cmr.errors import UserError
from cmr.jobs import run_job
from cmr.progress import Progress
from cmr.views.base import ImageView
from cmr.views.configured import arguments as arguments_of_view
from cmr.views.configured import configured, provenance, resolved_device
from cmr.views.image.pictures import labelled_images


def main() -> None:
    """Arguments in, one file of named arrays out."""
    parser = arguments_of_view(__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet of the data set")
    parser.add_argument("--images", type=Path, required=True, help="images.parquet of the data set")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True, help="folder that the image paths start from")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N, for views that use torch and no others")
    parser.add_argument("--fitted", type=Path, required=True, help="output, HDF5")
    arguments = parser.parse_args()

    view = configured(ImageView, arguments.implementation, arguments.options, arguments.assets, learnt=True)
    device = resolved_device(view, arguments.device) or "cpu"
    usable, _ = usable_images(arguments.pairs, arguments.images)
    split = store.read_table(arguments.split, pairs=arguments.pairs)
    rows = {part: usable[usable["id"].isin(ids)] for part, ids in split.groupby("part")["id"]}
    if not len(rows["train"]):
        raise UserError("no image of the train part can be used")
    # A picture that the train part has, too, tells nothing of what is new.
    rows["valid"] = rows.get("valid", usable[:0])
    rows["valid"] = rows["valid"][~rows["valid"]["sha256"].isin(rows["train"]["sha256"])]
    check_unchanged(pd.concat([rows["train"], rows["valid"]]).drop_duplicates("sha256"), arguments.raw, Progress())
    parts = {part: labelled_images(usable, rows[part], arguments.raw) for part in ("train", "valid")}
    checkpoints = arguments.fitted.with_name(f".{arguments.fitted.name}.checkpoints")
    view.fit(
        parts["train"],
        parts["valid"] if len(parts["valid"]) else None,
        workers=arguments.workers,
        device=device,
        progress=Progress(checkpoints=checkpoints),
    )
    inputs = {"pairs": arguments.pairs, "images": arguments.images, "split": arguments.split}
    about = provenance(view, arguments.implementation, arguments.options, arguments.assets, inputs)
    store.write_arrays(arguments.fitted, {**view.state(), "train_ids": rows["train"]["id"].to_numpy()}, about)
    if checkpoints.exists():
        shutil.rmtree(checkpoints)
    logging.info("learnt from %d images of the train part", len(rows["train"]))


if __name__ == "__main__":
    run_job(main)
