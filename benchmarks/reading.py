"""Time and memory of reading and splitting a large data set in four forms: table, lists of files, MS COCO, NUS-WIDE.

The data set is made up. `scripts/read_dataset.py` and `scripts/make_split.py` run in processes of their own, whose peak
memory is what the system counted. Exit status 1 where one needed more than --limit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
CLASSES = 80
CONCEPTS = 81
OBJECTS_AN_IMAGE = 7  # MS COCO has 7.3
CAPTIONS_AN_IMAGE = 5
SPLIT = {"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}}

Reader = tuple[str, dict, list[str]]  # dotted name, options, assets


def words(generator: random.Random, count: int) -> str:
    """So many words, the first of 20 000 the most frequent."""
    return " ".join(f"w{min(int(generator.paretovariate(0.6)), 20_000)}" for _ in range(count))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def table(raw: Path, n: int, generator: random.Random) -> Reader:
    """One CSV of captions of 20 words, an official part, one or two classes."""
    rows = (
        f'images/{i:06d}.jpg,"{words(generator, 20)}",c{i % CLASSES}{f"|c{i % 7}" if i % 3 else ""},'
        f"{'test' if i % 4 == 0 else 'train'}"
        for i in range(n)
    )
    write_lines(raw / "table/pairs.csv", ["image,text,labels,part", *rows])
    return "cmr.datasets.table.read", {"table": "pairs.csv"}, ["table"]


def folders(raw: Path, n: int, generator: random.Random) -> Reader:
    """Two lists and a text file of 100 words an item."""
    (raw / "folders/texts").mkdir(parents=True)
    for i in range(n):
        (raw / f"folders/texts/text{i:06d}.txt").write_text(words(generator, 100), "utf-8")
    for part, share in (("train", range(n * 3 // 4)), ("test", range(n * 3 // 4, n))):
        write_lines(raw / f"folders/{part}.list", (f"text{i:06d}\timage{i:06d}\tc{i % CLASSES}" for i in share))
    lists = {"train": "train.list", "test": "test.list"}
    return "cmr.datasets.folders.read", {"lists": lists, "columns": ["text", "image", "label"]}, ["folders"]


def coco(raw: Path, n: int, generator: random.Random) -> Reader:
    """Objects with polygons of some 25 points, 550 bytes an object as in the original; five captions an image."""
    polygons = [
        [[round(generator.uniform(0, 640), 2) for _ in range(2 * generator.randint(8, 42))]] for _ in range(1000)
    ]
    categories = [{"supercategory": "thing", "id": k, "name": f"thing {k}"} for k in range(1, CLASSES + 1)]
    for name, numbers in (("train2014", range(n * 2 // 3)), ("val2014", range(n * 2 // 3, n))):
        images = [
            {"license": 4, "file_name": f"COCO_{name}_{i:012d}.jpg", "height": 480, "width": 640, "id": i}
            | {"date_captured": "2013-11-14 17:02:52", "coco_url": f"http://images.cocodataset.org/{name}/{i:012d}.jpg"}
            for i in numbers
        ]
        objects = (
            {"segmentation": generator.choice(polygons), "area": 54652.9556, "iscrowd": 0, "image_id": i}
            | {"bbox": [116.95, 305.86, 285.3, 266.03], "category_id": generator.randint(1, CLASSES), "id": 10 * i + k}
            for i in numbers
            for k in range(OBJECTS_AN_IMAGE)
        )
        captions = (
            {"image_id": i, "id": 10 * i + k, "caption": words(generator, 10)}
            for i in numbers
            for k in range(CAPTIONS_AN_IMAGE)
        )
        folder = raw / "mscoco_annotations"
        write_json(folder / f"instances_{name}.json", images=images, annotations=objects, categories=categories)
        write_json(folder / f"captions_{name}.json", images=images, annotations=captions)
    return "cmr.datasets.mscoco.read", {}, ["mscoco_annotations", "mscoco_train2014", "mscoco_val2014"]


def write_json(path: Path, **lists: Iterable[dict]) -> None:
    """One object on one line, a list a key, none of them whole in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as file:
        file.write('{"info": {"year": 2014}')
        for key, records in lists.items():
            file.write(f', "{key}": [')
            for number, record in enumerate(records):
                file.write((", " if number else "") + json.dumps(record))
            file.write("]")
        file.write("}")


def nus_wide(raw: Path, n: int, generator: random.Random) -> Reader:
    """Lists, tags, and labels of 81 concepts; every photograph has a concept and a listed tag, as ALSCOR keeps them."""
    assets = [f"nus_wide_{name}" for name in ("groundtruth", "image_list", "tags", "images")]
    groundtruth, image_list, tags, _ = (raw / asset for asset in assets)
    paths = [f"subject{i % 704}\\{i:04d}_{2_000_000_000 + i}.jpg " for i in range(n)]
    write_lines(image_list / "Imagelist.txt", paths)
    write_lines(image_list / "TrainImagelist.txt", paths[: n * 3 // 5])
    write_lines(image_list / "TestImagelist.txt", paths[n * 3 // 5 :])
    for k in range(CONCEPTS):
        labels = ("1" if i % CONCEPTS == k or i % 13 == k else "0" for i in range(n))
        write_lines(groundtruth / f"AllLabels/Labels_concept{k:02d}.txt", labels)
    tagged = (f"{2_000_000_000 + i}      {words(generator, 18)} " for i in range(n))
    write_lines(tags / "All_Tags.txt", tagged)
    write_lines(tags / "AllTags1k.txt", listed_tags(n, generator))
    return "cmr.datasets.nus_wide.read", {"classes": "all", "tags": "listed"}, assets


def listed_tags(n: int, generator: random.Random) -> Iterator[str]:
    for _ in range(n):
        bits = ["0"] * 1000
        for k in generator.sample(range(1000), 7):
            bits[k] = "1"
        yield "\t".join([*bits, ""])


def run(script: str, *arguments: str | Path) -> tuple[float, float]:
    """Seconds and peak MiB of one script."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, SCRIPTS / script, *arguments], stderr=subprocess.PIPE) as process:
        complaint = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(complaint.decode())
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Print a line for each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    forms: dict[str, Callable[[Path, int, random.Random], Reader]]
    forms = {"table": table, "folders": folders, "coco": coco, "nus_wide": nus_wide}
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--forms", nargs="+", choices=forms, default=list(forms))
    parser.add_argument("--limit", type=float, default=1024, help="MiB that a process may need")
    arguments = parser.parse_args()

    print("form       files, MB  read, s  pairs/s  peak, MiB  split, s  peak, MiB")
    most = 0.0
    for form in arguments.forms:
        with tempfile.TemporaryDirectory() as folder:
            raw, pairs = Path(folder) / "raw", Path(folder) / "pairs.parquet"
            reader, options, assets = forms[form](raw, arguments.pairs, random.Random(0))
            size = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file()) / 1e6
            config = Path(folder) / f"{form}.yaml"
            config.write_text(json.dumps({"expected": {"pairs": arguments.pairs}}))  # JSON is YAML, too
            how = ["--reader", reader, "--options", json.dumps(options), "--assets", *assets, "--raw", raw]
            how += ["--pairs", pairs, "--dropped", Path(folder) / "dropped.parquet"]
            reading, peak = run("read_dataset.py", config, *how)
            protocol = ["--protocol", json.dumps(SPLIT), "--seed", "0", "--split", Path(folder) / "split.parquet"]
            splitting, split_peak = run("make_split.py", "--pairs", pairs, *protocol)
        most = max(most, peak, split_peak)
        rate = arguments.pairs / reading
        read = f"{form:10} {size:9.0f}  {reading:7.1f}  {rate:7.0f}  {peak:9.0f}"
        print(f"{read}  {splitting:8.1f}  {split_peak:9.0f}", flush=True)
    sys.exit(most > arguments.limit and f"a process needed {most:.0f} MiB, more than {arguments.limit:.0f}")


if __name__ == "__main__":
    main()
