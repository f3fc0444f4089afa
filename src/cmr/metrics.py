"""Retrieval metrics of rankings with ties, each as its exact expectation over all orders of the tied items.

Everything follows from where the relevant items stand. `place` notes for each of them how many items score higher and
how many equally; the metrics are functions of that (McSherry and Najork, "Computing information retrieval performance
measures efficiently in the presence of tied scores", ECIR 2008). No sort of positions is needed, only of values.

A query without relevant items scores 0 under every metric and is not dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaln

from cmr.errors import UserError
from cmr.retrieval import BLOCK_BYTES, Similarity, score_blocks

Normaliser = Literal["hits", "min", "all"]
Values = NDArray[np.float64]

RECALL_LEVELS = np.arange(1, 101) / 100
SUMMED_PLACES = 1 << 16  # places of tie groups that are summed over at once, to bound the memory


@dataclass(frozen=True)
class Places:
    """Where the relevant items of n_q queries stand: one entry a (query, relevant item), by query, then best first.

    A tie group is the set of items that score equally; a single item is a group of one.
    """

    queries: int  # n_q
    query: NDArray[np.intp]  # which query
    above: NDArray[np.intp]  # items that score higher
    tied: NDArray[np.intp]  # items in the tie group, itself included
    relevant_above: NDArray[np.intp]  # relevant items that score higher
    relevant_tied: NDArray[np.intp]  # relevant items in the tie group, itself included

    @property
    def relevant(self) -> NDArray[np.intp]:
        """(n_q,) relevant items of each query."""
        return np.bincount(self.query, minlength=self.queries)

    def total(self, value: Values) -> Values:
        """(n_q,) sum of a value of each relevant item over a query's."""
        return np.bincount(self.query, weights=value, minlength=self.queries)


def place(scores: ArrayLike, relevance: ArrayLike) -> Places:
    """Find the relevant items in the rankings by `scores` (n_q, n_g), higher first; `relevance` (n_q, n_g) bool.

    An item that scores -inf is not in that query's gallery and must not be marked relevant.
    """
    scores, relevance = np.asarray(scores), np.asarray(relevance, dtype=bool)
    if scores.shape != relevance.shape:
        raise ValueError(f"scores have shape {scores.shape}, relevance has {relevance.shape}")
    cost = -scores
    rows = [_place_row(row[marks], values) for row, marks, values in zip(cost, relevance, np.sort(cost), strict=True)]
    query = np.repeat(np.arange(len(rows)), [len(above) for above, _ in rows])
    above, tied = (np.concatenate(column) for column in zip(*rows, strict=True))

    # The relevant items of one tie group are a run of entries with the same query and the same number above.
    first = np.ones(len(query), dtype=bool)
    first[1:] = (query[1:] != query[:-1]) | (above[1:] != above[:-1])
    start = np.flatnonzero(first)
    length = np.diff(start, append=len(query))
    entries_before = np.searchsorted(query, np.arange(len(rows)))
    relevant_above = np.repeat(start - entries_before[query[start]], length)
    return Places(len(rows), query, above, tied, relevant_above, np.repeat(length, length))


def average_precision(places: Places) -> Values:
    """(n_q,) average precision over the whole ranking."""
    p = places
    share = _precision_sum(p.above, p.tied, p.relevant_above, p.relevant_tied) / p.relevant_tied
    return _ratio(p.total(share), p.relevant)


def average_precision_at(places: Places, cutoff: int, normaliser: Normaliser) -> Values:
    """(n_q,) average precision at a cut-off: the precisions at the relevant items inside the top R, summed and divided.

    Parameters
    ----------
    cutoff : R.
    normaliser :
        what the sum is divided by: `hits`, the relevant items inside the top R, random when a tie group reaches over R;
        `min`, the lesser of R and the query's relevant items; `all`, the query's relevant items.
    """
    if normaliser not in get_args(Normaliser):
        raise UserError(f'unknown normaliser "{normaliser}"; it is one of {", ".join(get_args(Normaliser))}')
    p, relevant = _head(places, cutoff), places.relevant
    inside = p.above + p.tied <= cutoff
    share = _precision_sum(p.above, p.tied, p.relevant_above, p.relevant_tied) / p.relevant_tied
    total = p.total(np.where(inside, share, 0.0))

    # At most one tie group of a query reaches over the cut-off: only `slots` of its `tied` items come inside.
    over, first = np.unique(p.query[~inside], return_index=True)
    item = np.flatnonzero(~inside)[first]
    above, tied, relevant_above, relevant_tied = (
        column[item, None] for column in (p.above, p.tied, p.relevant_above, p.relevant_tied)
    )
    slots = cutoff - above
    # Given how many relevant items come inside, they stand there in a random order; their number is hypergeometric.
    number = np.arange(cutoff + 1)
    chance = _hypergeometric(number, tied, relevant_tied, slots)
    total_over = total[over, None] + _precision_sum(above, slots, relevant_above, number)

    if normaliser == "hits":
        result = _ratio(total, p.total(inside))
        result[over] = (chance * _ratio(total_over, relevant_above + number)).sum(axis=1)
        return result
    total[over] = (chance * total_over).sum(axis=1)
    return _ratio(total, np.minimum(cutoff, relevant) if normaliser == "min" else relevant)


def precision_at(places: Places, k: int) -> Values:
    """(n_q,) relevant items in the top k, divided by k, also where the gallery has fewer than k items."""
    return _hits(places, k) / k


def recall_at(places: Places, k: int) -> Values:
    """(n_q,) share of a query's relevant items that the top k holds."""
    return _ratio(_hits(places, k), places.relevant)


def precision_at_recall(places: Places) -> Values:
    """(n_q, 100) precision at the item that brings a query's recall to 1 %, 2 % ... 100 %; not interpolated.

    A share of the relevant items is rounded up to whole items. Where the item is tied its position is random, and the
    value is the expected precision there, no less than the precision at the expected position.
    """
    relevant = places.relevant
    some = np.flatnonzero(relevant)
    wanted = -(-np.arange(1, 101) * relevant[some, None] // 100)  # rounded up, in whole numbers
    item = (np.cumsum(relevant) - relevant)[some, None] + wanted - 1
    result = np.zeros((places.queries, 100))
    result[some] = wanted * _inverse_position(places)[item]
    return result


def place_blocks(
    queries: ArrayLike,
    gallery: ArrayLike,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike,
    similarity: Similarity,
    own: NDArray[np.integer] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Places]:
    """Rank a gallery for each query and find the relevant items, which share at least one label with the query.

    Embeddings, `own` and `block_bytes` as in `cmr.retrieval.score_blocks`; labels (n_q, c) and (n_g, c) bool.
    """
    query_labels, gallery_labels = (np.asarray(labels, dtype=np.float32) for labels in (query_labels, gallery_labels))
    for side, rows, labels in (("queries", queries, query_labels), ("gallery", gallery, gallery_labels)):
        if len(rows) != len(labels):
            raise UserError(f"{side}: {len(rows)} embeddings but {len(labels)} rows of labels")
    for block, scores in score_blocks(queries, gallery, similarity, own, block_bytes):
        relevance = query_labels[block] @ gallery_labels.T > 0
        if own is not None:
            relevance[np.arange(len(relevance)), own[block]] = False
        yield place(scores, relevance)


def relevance_labels(labels: ArrayLike, groups: ArrayLike) -> NDArray[np.bool_]:
    """(n, r) bool, multi-hot: items that share a column are relevant to each other.

    Those are the classes (n, c). In a data set without classes (c = 0) they are the groups (n,), such as the captions
    of one image: a query is to find its own other side.
    """
    labels = np.asarray(labels, dtype=bool)
    if labels.shape[1]:
        return labels
    groups = np.asarray(groups)
    return groups[:, None] == np.unique(groups)


def mean_average_precision(queries: ArrayLike, gallery: ArrayLike, labels: ArrayLike, similarity: Similarity) -> float:
    """Mean over queries of the average precision over all, of embeddings (n, k) of both sides of n pairs.

    labels : (n, c) bool, multi-hot.
    """
    blocks = place_blocks(queries, gallery, labels, labels, similarity)
    return float(np.concatenate([average_precision(places) for places in blocks]).mean())


def bimodal_map(images: ArrayLike, texts: ArrayLike, labels: ArrayLike, similarity: Similarity) -> float:
    """Mean of image-to-text and text-to-image mAP over all: the score by which methods select and stop."""
    both = (images, texts), (texts, images)
    return sum(mean_average_precision(*sides, labels, similarity) for sides in both) / 2


def _place_row(found: NDArray, ordered: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`above` and `tied` of one query, from the costs of its relevant items and all costs in ascending order."""
    found = np.sort(found)
    above = ordered.searchsorted(found, "left")
    tied = np.ones_like(above)
    # Few items are tied as a rule: a group's size is searched where the next item costs as much.
    t = np.flatnonzero(ordered.take(above + 1, mode="clip") == found)
    if len(t):
        tied[t] = ordered.searchsorted(found[t], "right") - above[t]
    return above, tied


def _head(places: Places, cutoff: int) -> Places:
    """The relevant items of which some order of the ties puts at least one inside the top `cutoff`."""
    kept = places.above < cutoff
    columns = (places.query, places.above, places.tied, places.relevant_above, places.relevant_tied)
    return Places(places.queries, *(column[kept] for column in columns))


def _precision_sum(above: NDArray, size: NDArray, relevant_above: NDArray, relevant: NDArray) -> Values:
    """Expected sum of the precisions at the `relevant` items of a tie group of `size`, over its random orders.

    Place j = 1 ... m of the group holds a relevant item with chance c/m, and then 1 + (j - 1)(c - 1)/(m - 1) of them
    have been found in the group so far (McSherry and Najork 2008).
    """
    inverse = 1 / (above + 1)  # sum of 1/(above + j) over j
    several = size > 1
    inverse[several] = digamma((above + size + 1)[several]) - digamma((above + 1)[several])
    later = size - (above + 1) * inverse  # sum of (j - 1)/(above + j) over j
    growth = (relevant - 1) / np.maximum(size - 1, 1)
    return relevant / size * ((relevant_above + 1) * inverse + growth * later)


def _inverse_position(places: Places) -> Values:
    """Expected 1/position of each relevant item; those of one tie group in the order in which they come to stand.

    Let t be the place of the j-th of g relevant items in a tie group of m with a items above. It has the negative
    hypergeometric distribution w_j(t) = C(t - 1, j - 1) C(m - t, g - j) / C(m, g), for which

        (g - j)(t - j) w_j(t) = j (m - g + j + 1 - t) w_(j + 1)(t).

    Divided by a + t and summed over t, this relates neighbours among the wanted F_j = E[1/(a + t)]:

        (g - j)(a + j) F_j + j (a + m - g + j + 1) F_(j + 1) = g.

    The ratio of the two factors falls with j. Away from the j where it passes 1, the pivot, an error shrinks at every
    step, so that F is summed over its distribution at the pivot only.
    """
    p = places
    inverse = 1 / (p.above + 1)  # of untied items
    if (p.tied == 1).all():
        return inverse
    j = np.arange(1, len(p.query) + 1) - np.searchsorted(p.query, p.query) - p.relevant_above
    this = (p.relevant_tied - j) * (p.above + j)
    following = j * (p.above + p.tied - p.relevant_tied + j + 1)

    first = np.flatnonzero((j == 1) & (p.tied > 1))
    a, m, g = p.above[first], p.tied[first], p.relevant_tied[first]
    slope = 2 * a + m - 2 * g + 1
    pivot = np.clip(np.ceil((np.sqrt(slope**2 + 8.0 * a * g) - slope) / 4), 1, g).astype(np.intp)
    start = first + pivot - 1
    inverse[start] = _summed_inverse_position(a, m, g, pivot)
    for at in _walk(start, g - pivot, 1):
        inverse[at + 1] = (p.relevant_tied[at] - this[at] * inverse[at]) / following[at]
    for after in _walk(start, pivot - 1, -1):
        at = after - 1
        inverse[at] = (p.relevant_tied[at] - following[at] * inverse[at + 1]) / this[at]
    return inverse


def _walk(start: NDArray[np.intp], steps: NDArray[np.intp], direction: int) -> Iterator[NDArray[np.intp]]:
    """Count up (1) or down (-1) from each start, all at once, each for its number of steps."""
    longest_first = np.argsort(-steps)
    at, ends = start[longest_first], -steps[longest_first]
    for step, walking in enumerate(ends.searchsorted(-np.arange(steps.max(initial=0)), "left")):
        yield at[:walking] + direction * step


def _summed_inverse_position(above: NDArray, tied: NDArray, relevant: NDArray, rank: NDArray) -> Values:
    """E[1/(above + t)] of the relevant item of a given rank in each tie group, by summing over its places t."""
    log_factorial = gammaln(np.arange(1, tied.max() + 1))
    places = tied - relevant + 1
    result = np.empty(len(tied))
    chunk = np.cumsum(places) // SUMMED_PLACES
    for groups in np.split(np.arange(len(tied)), np.flatnonzero(np.diff(chunk)) + 1):
        n = places[groups]
        start = np.cumsum(n) - n
        early = np.arange(n.sum()) - np.repeat(start, n)  # t - j, irrelevant items before
        late = np.repeat(n - 1, n) - early  # irrelevant items after
        j = np.repeat(rank[groups], n)
        log_chance = log_factorial[early + j - 1] - log_factorial[early]
        log_chance += log_factorial[late + np.repeat((relevant - rank)[groups], n)] - log_factorial[late]
        chance = np.exp(log_chance - np.repeat(np.maximum.reduceat(log_chance, start), n))
        position = np.repeat(above[groups], n) + early + j
        result[groups] = np.add.reduceat(chance / position, start) / np.add.reduceat(chance, start)
    return result


def _hits(places: Places, k: int) -> Values:
    """Expected relevant items in the top k: a tie group that reaches over k is there in proportion."""
    return places.total(np.clip((k - places.above) / places.tied, 0.0, 1.0))


def _hypergeometric(count: NDArray, population: NDArray, marked: NDArray, draws: NDArray) -> Values:
    """Chance of `count` marked items among `draws` of a population."""

    def log_choose(n: NDArray, k: NDArray) -> Values:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    possible = (count <= marked) & (count <= draws) & (draws - count <= population - marked)
    x = np.where(possible, count, np.maximum(0, draws - population + marked))
    log_chance = log_choose(marked, x) + log_choose(population - marked, draws - x) - log_choose(population, draws)
    return np.where(possible, np.exp(log_chance), 0.0)


def _ratio(numerator: NDArray, denominator: NDArray) -> Values:
    """0/0 is 0: no relevant item, nothing found."""
    return numerator / np.where(denominator == 0, 1, denominator)
