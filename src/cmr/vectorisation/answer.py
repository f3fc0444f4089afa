"""Does the claimed vectoriser win? A page in Markdown."""

from typing import Any

import pandas as pd

from cmr.tables import markdown, markdown_table
from cmr.vectorisation.summary import PAPERS_MEASURE, TITLES, Summary, printed

IN_WORDS = {
    "yes": "yes: the whole interval is above 0",
    "no": "no: the whole interval is below 0",
    "undecided": "undecided: the interval holds 0",
    "too few": "too few pairs or questions",
}


def answer(summary: Summary) -> str:
    """A page in Markdown: does the claimed vectoriser win, on which data set and by which measure?"""
    lines = ["# Does GloVe win?", ""]
    lines += [
        "The paper says that of bag of words, CBOW, skip-gram and GloVe, it is GloVe that puts semantic and syntactic "
        "word pairs closest. Here each GloVe is compared with the best of the others on the same pairs. The difference "
        "is GloVe minus that best one, with the 95 % interval of a paired bootstrap over pairs.",
        "",
        "The paper's own measure is the mean cosine; its answer stands apart and is not counted. The mean depends on "
        "how wide a space is spread: one in which all words are close to each other has a high cosine for related "
        "pairs and for random ones. Separation, rho and analogies do not depend on that. They share pairs: semantic "
        "pairs are taken from SimLex-999 and WordSim-353, syntactic pairs from the analogies. Those that agree are no "
        "independent witnesses.",
        "",
    ]
    for dataset, rows in summary.answers.groupby("dataset", sort=False):
        lines += [f"## {markdown(summary.title(dataset))}", ""]
        for claimed, own in rows.groupby("claimed", sort=False):
            lines += [f"**{markdown(summary.vectorisers[claimed])}: {_in_short(own)}.**", ""]
            lines += markdown_table(
                ["Measure", "n", "Value", "Best other", "Difference", "Wins?"],
                [_answer_cells(summary, row) for row in own.itertuples(index=False)],
            )
            lines += [""]
    lines += [
        "Intervals of mean cosines, separation and rho take pairs as independent. The best other is chosen on the same "
        "pairs, and nothing is corrected for the number of comparisons.",
        "",
    ]
    return "\n".join(lines)


def _answer_cells(summary: Summary, row: Any) -> list[str]:
    title = TITLES[row.measure, row.pairs] + (", the paper's measure" if row.measure == PAPERS_MEASURE else "")
    if row.answer == "too few":
        return [title, str(row.n), "", "", "", IN_WORDS[row.answer]]
    interval = " ".join(printed(row.difference, row.low, row.high))
    other = f"{markdown(summary.vectorisers[row.best_other])} {row.other:.3f}"
    return [title, str(row.n), f"{row.value:.3f}", other, interval, IN_WORDS[row.answer]]


def _in_short(answers: pd.DataFrame) -> str:
    """What the answers come to: the paper's measure by itself, then how many of the others said what."""
    of_paper = answers["measure"] == PAPERS_MEASURE
    told = [f"{row.answer} ({row.pairs})" for row in answers[of_paper].itertuples(index=False)]
    others = answers.loc[~of_paper, "answer"]
    measured = others[others != "too few"]
    counts = ", ".join(f"{kind} {(measured == kind).sum()}" for kind in ("yes", "no", "undecided"))
    return (
        f"by the paper's measure {' and '.join(told)}; by the others that could be measured, {len(measured)} of "
        f"{len(others)}: {counts}"
    )
