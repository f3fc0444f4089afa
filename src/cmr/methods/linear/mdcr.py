"""Modality-dependent cross-media retrieval (MDCR).

Source: Wei, Zhao, Zhu, Wei, Xiao, Feng and Yan, ACM TIST 7(4), 2016. Card: linear/40, `mdcr`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs, PerTask, State
from cmr.methods.linear.algebra import Array, solve_positive
from cmr.methods.linear.moments import moments
from cmr.methods.linear.projections import Projections
from cmr.methods.linear.regression import label_variation, require_told_labels, warn_of_two_classes
from cmr.progress import SILENT, Progress
from cmr.retrieval import Similarity
from cmr.store import group


@dataclass(frozen=True)
class MDCR:
    """One space a direction of retrieval, in which the modality of the queries is regressed onto the labels.

    Where images are the queries, U and V are the minimum of

        coupling |XU - YV|^2 + (1 - coupling) |XU - T|^2 + ridge n (|U|^2 + |V|^2);

    where texts are, of the same with |YV - T|^2. A coupling near one leaves little of the labels: U and V tend to zero.

    Parameters
    ----------
    image_query_coupling, text_query_coupling : coupling of either direction, between 0 and 1.
    ridge : of weights, a train item; relative to the variance of a standardised feature.
    """

    image_query_coupling: float = 0.1
    text_query_coupling: float = 0.5
    ridge: float = 0.005
    similarity: ClassVar[Similarity] = "cosine"

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seed: int = 0,
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> PerTask:
        """Closed form by two Cholesky factors a direction; `valid`, `seed` and `compute` play no part.

        Raises NotApplicableError where there are no classes or all pairs have the same, UserError where a view tells
        nothing of them, InfeasibleError where a coupling leaves the labels or the other modality out, or the equations
        are singular.
        """
        variation = label_variation(train, "mdcr")
        for name in ("image_query_coupling", "text_query_coupling"):
            if not 0 < getattr(self, name) < 1:
                raise InfeasibleError(f"mdcr: {name} is {getattr(self, name):g}, but must lie between 0 and 1")
        m = train.once(moments)
        require_told_labels(m, variation, "mdcr")
        warn_of_two_classes(train, "mdcr")
        ridge = self.ridge * m.n
        u, v = coupled_regression(m.x.gram, m.y.gram, m.cross, m.x_labels, self.image_query_coupling, ridge)
        image_queries = m.projections(u, v)
        v, u = coupled_regression(m.y.gram, m.x.gram, m.cross.T, m.y_labels, self.text_query_coupling, ridge)
        return PerTask(image_queries, m.projections(u, v))

    def restore(self, state: State) -> PerTask:
        """See Method."""
        return PerTask(
            Projections.from_state(group(state, "image_queries")), Projections.from_state(group(state, "text_queries"))
        )


def coupled_regression(
    query_gram: Array, other_gram: Array, cross: Array, labels: Array, coupling: float, ridge: float
) -> tuple[Array, Array]:
    """U (d, c), V (d', c): the minimum of coupling |XU - YV|^2 + (1 - coupling) |XU - T|^2 + ridge (|U|^2 + |V|^2).

    Given X'X (d, d), Y'Y (d', d'), X'Y (d, d') and X'T (d, c). V = MU is best for any U, which leaves equations of U.
    """
    m = solve_positive(coupling * other_gram + ridge * np.eye(len(other_gram)), coupling * cross.T, "mdcr")
    left = query_gram + ridge * np.eye(len(query_gram)) - coupling * cross @ m
    u = solve_positive(left, (1 - coupling) * labels, "mdcr")
    return u, m @ u
