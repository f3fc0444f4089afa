"""What readers take out of text files from strangers, in time that grows with the length of the text and no faster."""

import re

MOST_DIGITS = 18  # what fits 64 bits; Python itself refuses to read some thousands


def elements(document: str, name: str) -> list[str]:
    """What stands between `<name ...>` and `</name>`, as it stands; of elements in each other, up to the first end.

    For documents that need not be well-formed. One that is left open ends the search: each of the following would be
    looked for to the end of the document.
    """
    start, end = re.compile(rf"<{name}\b[^<>]*>"), re.compile(rf"</{name}\s*>")
    found, place = [], 0
    while (opening := start.search(document, place)) and (closing := end.search(document, opening.end())):
        found.append(document[opening.end() : closing.start()])
        place = closing.end()
    return found


def whole_number(text: str) -> int | None:
    """The whole number that the text is, not negative and of few digits; None for any other text."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def lines(text: str) -> list[str]:
    """Lines as editors show them: Python's own `splitlines` ends them at half a dozen rare characters too."""
    parts = re.split(r"\r\n|\r|\n", text)
    return parts if parts[-1] else parts[:-1]
