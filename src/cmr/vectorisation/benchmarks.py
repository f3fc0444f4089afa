"""Pairs of words whose relation people have judged, and analogy questions, as gensim's test data brings them.

* SimLex-999: Hill, Reichart and Korhonen, Computational Linguistics 41, 2015; how similar two words are, 0 to 10.
* WordSimilarity-353: Finkelstein et al., ACM TOIS 20, 2002; how related two words are, 0 to 10.
* Analogy questions of Mikolov et al., "Efficient estimation of word representations in vector space", 2013: a is to b
  as c is to d. Sections whose name begins with "gram" are syntactic, the others semantic.

All words are in lower case, as captions are tokenised.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from cmr.errors import UserError
from cmr.provenance import file_sha256

FILES = {"simlex": "simlex999.txt", "wordsim": "wordsim353.tsv", "questions": "questions-words.txt"}
KINDS = ("semantic", "syntactic")


@dataclass(frozen=True)
class Benchmarks:
    """All lists.

    Attributes
    ----------
    judged : `simlex` and `wordsim`; columns first, second, judgement.
    questions : columns kind (semantic or syntactic), section, a, b, c, d; the four words of a question differ.
    provenance : version of gensim, and the SHA-256 of each file.
    """

    judged: dict[str, pd.DataFrame]
    questions: pd.DataFrame
    provenance: dict[str, Any]

    @classmethod
    def installed(cls) -> "Benchmarks":
        """Those of the installed gensim."""
        # Not by gensim's own function for this: the module that it lies in builds a model when imported.
        folder = resources.files("gensim") / "test/test_data"
        return cls.read({name: Path(str(folder / file)) for name, file in FILES.items()})

    @classmethod
    def read(cls, paths: dict[str, Path]) -> "Benchmarks":
        """Files by the keys of `FILES`; raises UserError naming file and line when one cannot be understood."""
        digests = {path.name: file_sha256(path) for path in paths.values() if path.is_file()}
        return cls(
            {name: read_judged(path) for name, path in paths.items() if name != "questions"},
            read_questions(paths["questions"]),
            {"gensim": version("gensim"), "sha256": digests},
        )

    def words(self) -> set[str]:
        """Every word of every list."""
        columns = [table[name] for table in self.judged.values() for name in ("first", "second")]
        return set().union(*columns, *(self.questions[name] for name in "abcd"))

    def alike(self, least_judgement: float) -> pd.DataFrame:
        """Semantic pairs of two different words that people judge at `least_judgement` or more, each once."""
        judged = pd.concat(self.judged.values())
        return _each_once(judged.loc[judged["judgement"] >= least_judgement, ["first", "second"]])

    def inflected(self) -> pd.DataFrame:
        """Syntactic pairs (a, b) and (c, d) of the questions on grammar, each once."""
        grammar = self.questions[self.questions["kind"] == "syntactic"]
        halves = [grammar[list(half)].set_axis(["first", "second"], axis=1) for half in ("ab", "cd")]
        return _each_once(pd.concat(halves))


def read_judged(path: Path) -> pd.DataFrame:
    """Lines of two words and a number, separated by tabs; lines that begin with # say something else."""
    rows = []
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        try:
            first, second, judgement = line.split("\t")
            rows.append((first.strip().lower(), second.strip().lower(), float(judgement)))
        except ValueError as error:
            raise UserError(f'{path}, line {number}: "{line}" is not two words and a number, with tabs') from error
    return _table(path, rows, ["first", "second", "judgement"])


def read_questions(path: Path) -> pd.DataFrame:
    """Sections that begin with ": <name>", then lines of four words; a question that repeats a word is left out.

    The answer is never looked for among the question's own words, so that such a question has no right one.
    """
    rows, section = [], None
    for number, line in _lines(path):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        words = line.lower().split()
        if len(words) != 4 or section is None:
            wanted = "four words" if section else 'a section, as ": family"'
            raise UserError(f'{path}, line {number}: "{line}" is not {wanted}')
        if len(set(words)) == 4:
            rows.append((KINDS[section.startswith("gram")], section, *words))
    return _table(path, rows, ["kind", "section", *"abcd"])


def _table(path: Path, rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    if not rows:
        raise UserError(f"{path} holds no words")
    return pd.DataFrame(rows, columns=columns)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}). It comes with gensim: install gensim again") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def _each_once(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs in alphabetical order within and among themselves, without those of one word with itself."""
    ordered = {tuple(sorted(pair)) for pair in pairs.itertuples(index=False) if pair.first != pair.second}
    return pd.DataFrame(sorted(ordered), columns=["first", "second"])
