"""Seconds that text models take to learn from Flickr8k's 30 000 train captions, and to turn them into features.

Each runs alone, with one thread; the time of its process counts, whatever else the machine does, beside that of the
clock. The folder holds Flickr8k.token.txt and Flickr_8k.trainImages.txt.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cmr.views.text.glove import GloVe
from cmr.views.text.lda import LDA
from cmr.views.text.word2vec import FastText, Word2Vec

LIMIT = 180  # seconds to learn

VIEWS = {
    "LDA, 10 topics": LDA(topics=10),
    "LDA, 100 topics": LDA(topics=100),
    "word2vec, CBOW": Word2Vec(architecture="cbow"),
    "word2vec, skip-gram": Word2Vec(architecture="skip_gram"),
    "GloVe": GloVe(),
    "fastText, skip-gram": FastText(),
}


def train_captions(folder: Path) -> list[str]:
    """The captions of the train images, in the order of the file."""
    images = set((folder / "Flickr_8k.trainImages.txt").read_text("utf-8").split())
    lines = (line.split("\t") for line in (folder / "Flickr8k.token.txt").read_text("utf-8").splitlines())
    return [caption for name, caption in lines if name.partition("#")[0] in images]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the process, and of the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with Flickr8k.token.txt and Flickr_8k.trainImages.txt")
    captions = train_captions(parser.parse_args().folder)
    print(f"{len(captions)} captions; seconds of the processor (of the clock), to learn in at most {LIMIT}")
    slow = []
    for name, view in VIEWS.items():
        learning, learning_clock = seconds(lambda view=view: view.fit(captions))
        using, using_clock = seconds(lambda view=view: view.transform(captions))
        print(
            f"{name:20s} fit {learning:6.1f} ({learning_clock:6.1f})   transform {using:5.1f} ({using_clock:5.1f})",
            flush=True,
        )
        if learning > LIMIT:
            slow.append(name)
    if slow:
        sys.exit(f"slower than {LIMIT} seconds: {', '.join(slow)}")


if __name__ == "__main__":
    main()
