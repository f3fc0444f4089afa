"""Lemmas by the noun lists of Princeton WordNet (Fellbaum 1998)."""

from functools import cache
from pathlib import Path

from cmr.errors import UserError

# "Rules of detachment" for nouns in WordNet's manual page morphy(7WN), and NLTK's own -ves.
DETACHMENTS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)


class NounLemmatizer:
    """The lemma of a word taken as a noun, as NLTK's WordNetLemmatizer gives it by default.

    NLTK's own class reads only below its search path, and wants files that Debian's package of WordNet lacks.

    Parameters
    ----------
    folder : holds WordNet's `index.noun` (lemmas) and `noun.exc` (irregular forms), of any 3.x version. UserError
        otherwise.
    """

    def __init__(self, folder: Path) -> None:
        # Lines of the licence, at the head of the file, begin with a blank.
        self._lemmas = frozenset(
            line.partition(" ")[0] for line in _lines(folder, "index.noun") if not line.startswith(" ")
        )
        irregular = (line.split() for line in _lines(folder, "noun.exc"))
        self._irregular = {forms[0]: forms[1:] for forms in irregular if forms}

    def __call__(self, word: str) -> str:
        """The shortest lemma of a lower-case word; a word that WordNet does not know stays as it is."""
        forms = self._irregular.get(word)
        if forms is None:
            forms = [word.removesuffix(old) + new for old, new in DETACHMENTS if word.endswith(old)]
        return min((form for form in (word, *forms) if form in self._lemmas), key=len, default=word)


@cache
def noun_lemmatizer(folder: Path) -> NounLemmatizer:
    """The lemmatizer of a folder, read once."""
    return NounLemmatizer(folder)


def _lines(folder: Path, name: str) -> list[str]:
    try:
        return (folder / name).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{folder / name} cannot be read ({error}): expected is the folder of WordNet 3, with index.noun and "
            "noun.exc, as in Debian's package wordnet-base or NLTK's wordnet.zip"
        ) from error
