"""An answer in words: what was searched, how near a result is, and the whole of it for a terminal."""

from pathlib import Path

from cmr.search.explain import Shares
from cmr.search.searcher import Answer

SIDES = {"image": ("texts", "text"), "text": ("pictures", "picture")}  # what is searched, by what the query is
WIDTH = 100


def searched(answer: Answer) -> str:
    """What was compared with the query, and how."""
    of = " and ".join([", ".join(answer.parts[:-1]), answer.parts[-1]]) if answer.parts[1:] else answer.parts[0]
    how = "approximate ranking: a near item may be missing" if answer.approximate else "exact ranking"
    parts = "parts" if answer.parts[1:] else "part"
    return f"{answer.searched} {SIDES[answer.query][0]} of the {of} {parts}, by {measure(answer)}; {how}"


def measure(answer: Answer) -> str:
    names = {"inner": "inner product", "euclidean": "distance", "hamming": "bits that differ"}
    return names.get(answer.similarity, answer.similarity)


def score(answer: Answer, value: float) -> str:
    """A score as its similarity is told: distances count from zero."""
    if answer.similarity == "hamming":
        return f"{abs(value):.0f}"
    return f"{abs(value) if answer.similarity == 'euclidean' else value:.3f}"


def notes(answer: Answer) -> list[str]:
    """What a reader should know of the ranking."""
    told = []
    if answer.unknown:
        shown = ", ".join(cut(word, 30) for word in answer.unknown[:8])
        more = f" and {len(answer.unknown) - 8} more" if len(answer.unknown) > 8 else ""
        told.append(f"Not known to the run, and without a say: {shown}{more}.")
    if any(result.featureless for result in answer.results):
        told.append("Items marked “no features” have only zeros in their view; their scores say nothing.")
    return told


def in_terminal(answer: Answer, query: str) -> str:
    """All of an answer; `query` is the text, or the name of the picture's file."""
    of_run = f"{answer.method} on {answer.dataset}, split {answer.split}, seed {answer.seed}"
    lines = [cut(query), of_run, searched(answer), *notes(answer)]
    if answer.posteriors:
        lines.append(f"classes of the query: {percentages(answer.posteriors.query)}")
    lines.append("")
    width = max(len(score(answer, result.score)) for result in answer.results)
    for result in answer.results:
        of_item = f"{result.id}" + (f"  [{', '.join(result.labels)}]" if result.labels else "")
        nothing = "  (no features)" if result.featureless else ""
        lines.append(f"{result.rank:4}  {score(answer, result.score):>{width}}  {of_item}{nothing}")
        indent = " " * (width + 8)
        lines += [indent + cut(result.text)] if result.text else []
        lines += [indent + link] if (link := file_link(result.picture)) else []
        if answer.posteriors:
            lines.append(f"{indent}classes: {percentages(answer.posteriors.results[result.rank - 1])}")
    if answer.neighbours:
        lines += ["", f"Nearest {'pictures' if answer.query == 'image' else 'texts'} of the train part:"]
        for near in answer.neighbours:
            text = cut(near.text or "")
            lines.append(f"      {score(answer, near.score):>{width}}  {near.id}  {text}".rstrip())
    return "\n".join(lines)


def cut(text: str, width: int = WIDTH) -> str:
    """The beginning of a text on one line, in any script."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def percentages(of_item: Shares) -> str:
    """Classes and their posteriors."""
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in of_item)


def file_link(picture: Path | None) -> str | None:
    """The address of a picture's file; None where there is none."""
    return picture.resolve().as_uri() if picture is not None and picture.exists() else None
