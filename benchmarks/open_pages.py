"""How large pages are, and how long a browser takes to show one and to bring its tables alive.

`python -m benchmarks.open_pages results/studies/*/*.html`, from the root of the checkout.
"""

import argparse
import statistics
from pathlib import Path

from tests.browser.browsing import visiting

TIMES = """() => {
  const opened = performance.getEntriesByType("navigation")[0];
  const painted = performance.getEntriesByName("first-contentful-paint")[0];
  return [painted ? painted.startTime : NaN, opened.domContentLoadedEventEnd, performance.now()];
}"""


def main() -> None:
    """Print, for each page, the median of some openings, each in a new browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'page':50} {'MB':>6} {'painted':>8} {'read':>8} {'alive':>8}   (milliseconds)")
    for page in arguments.pages:
        openings = []
        for _ in range(arguments.times):
            with visiting(page.resolve().as_uri()) as visit:  # returns when tables are alive
                openings.append(visit.page.evaluate(TIMES))
        medians = [statistics.median(values) for values in zip(*openings, strict=True)]
        print(f"{str(page)[-50:]:50} {page.stat().st_size / 1e6:6.2f} " + " ".join(f"{ms:8.0f}" for ms in medians))


if __name__ == "__main__":
    main()
