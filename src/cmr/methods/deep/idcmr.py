"""Improvement of deep cross-modal retrieval (IDCMR).

Source: Improvement of deep cross-modal retrieval, eq. 18-24 and its algorithm. Card: deep/08, `idcmr`.

In substance it is DSCMR with word vectors as texts, similarities that are inner products, and a classifier that is
solved for. Not all equations can be computed as printed. The likelihood has log(1 + theta) where only
log(1 + exp(theta)) makes it one (I1, I3); its third term repeats the second (I2); S stands for labels and for
similarities (I4); the classifier's update does not type-check, and adds two solutions once it does (I5). The defaults
are what the equations must mean; the options, what they say. Layers are of ReLU units (I14). Not told are lambda, the
layers' widths, the number of passes and how items are compared (I7, I16): by their cosine, and by early stopping, as in
DSCMR. z-scored inputs, input dropout, Adam, a small start of the shared layer, narrow layers and few epochs are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from cmr.compute import CPU, Compute
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.deep.dscmr import DSCMR, SharedLayerNetwork, half_cosines
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.losses import mean_frobenius_norm, mean_row_norm, pairwise_likelihood, share_a_label
from cmr.methods.deep.network import Batch, DeepModel
from cmr.progress import SILENT, Progress

Similarities = Literal["half_dot", "dot", "half_cosine"]
Classifier = Literal["joint", "paper_sum", "trained"]


@dataclass(frozen=True)
class IDCMR(DSCMR):
    """DSCMR whose similarities need not be cosines, and whose classifier is the best for each batch.

    Parameters
    ----------
    theta : similarity of two items in the likelihood; half their inner product, all of it, or half their cosine.
    likelihood : `resolved`, with log(1 + exp(theta)), or as `printed`, with log(1 + theta).
    likelihood_divisor : of its sum over all pairs of items of a batch; their number, or as printed that of the `items`.
    norm : of the distances to the labels and within pairs; the mean over `rows`, or that of the matrix, `frobenius`.
    classifier : `joint`, solved for on each batch; `paper_sum`, the two solutions of the modalities added as printed;
        or `trained` with the network.
    classifier_ridge : rho, of a classifier that is solved for.
    initial_scale : factor of the random weights of the shared layer; inner products begin in proportion to its square.

    The others are those of DSCMR.
    """

    input_dropout: float = 0.5
    learning_rate: float = 0.002
    batch_size: int = 128
    theta: Similarities = "half_dot"
    likelihood: Literal["resolved", "printed"] = "resolved"
    likelihood_divisor: Literal["pairs", "items"] = "pairs"
    norm: Literal["rows", "frobenius"] = "rows"
    classifier: Classifier = "joint"
    classifier_ridge: float = 0.1
    initial_scale: float = 0.2

    name: ClassVar[str] = "idcmr"

    def build(self, inputs: Inputs, generator: torch.Generator) -> "IDCMRNetwork":
        """See NetworkMethod."""
        return IDCMRNetwork(self, inputs, generator)

    def fit_seeds(
        self,
        train: Pairs,
        valid: Pairs | None = None,
        *,
        seeds: Sequence[int],
        compute: Compute = CPU,
        progress: Progress = SILENT,
    ) -> dict[int, DeepModel]:
        """See DeepMethod; raises InfeasibleError that names the equation where its printed form has no value."""
        self.check(train)  # what is refused before the training is not the equation's fault
        try:
            return super().fit_seeds(train, valid, seeds=seeds, compute=compute, progress=progress)
        except InfeasibleError as error:
            if self.likelihood == "resolved" or self.theta == "half_cosine":  # of which no half comes to -1
                raise
            raise InfeasibleError(
                f"{self.name}: eq. 19 as printed takes log(1 + theta), which has no value where the similarity theta "
                "of two items is -1 or less. Training ended without a finite loss, as it does once it comes to such a "
                "pair. Set likelihood to resolved, which takes log(1 + exp(theta)), as a likelihood has to"
            ) from error


class IDCMRNetwork(SharedLayerNetwork):
    """Two perceptrons under a shared layer, and, where it is to be trained, a classifier."""

    def __init__(self, method: IDCMR, inputs: Inputs, generator: torch.Generator) -> None:
        super().__init__(method, inputs, generator)
        self.method = method
        self.shared.weight.data *= method.initial_scale
        if method.classifier == "trained":
            self.classifier = Linear(method.n_components, inputs.n_classes, generator)

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        u, v = self.embed_images(batch.images), self.embed_texts(batch.texts)
        with torch.autocast(u.device.type, enabled=False):  # inner products are large, their small differences count
            return self.objective(u.float(), v.float(), batch.labels)

    def objective(self, u: Tensor, v: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The terms for codes u and v (b, d) and labels (b, c) of the pairs."""
        theta, norm = THETA[self.method.theta], NORM[self.method.norm]
        likelihood = pairwise_likelihood if self.method.likelihood == "resolved" else printed_likelihood
        factor = labels.shape[-2] if self.method.likelihood_divisor == "items" else 1
        similar = share_a_label(labels)
        return {
            "label": sum(norm(predicted - labels) for predicted in self.predictions(u, v, labels)),
            "likelihood": sum(likelihood(theta(x, y), similar) for x, y in ((u, v), (u, u), (v, v))) * factor,
            "pair": norm(u - v),
        }

    def predictions(self, u: Tensor, v: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Of the labels, (b, c), from u and from v."""
        if self.method.classifier == "trained":
            return self.classifier(u), self.classifier(v)
        solution = CLASSIFIER[self.method.classifier](u.detach(), v.detach(), labels, self.method.classifier_ridge)
        return u @ solution, v @ solution


def half_dots(x: Tensor, y: Tensor) -> Tensor:
    """theta, (b, b): x_i'y_j / 2."""
    return dots(x, y) / 2


def dots(x: Tensor, y: Tensor) -> Tensor:
    """theta, (b, b): x_i'y_j."""
    return x @ y.mT


def printed_likelihood(theta: Tensor, similar: Tensor) -> Tensor:
    """Eq. 19 to the letter: the mean over all i and j of log(1 + theta_ij) - S_ij theta_ij.

    Not a number where a theta is below -1, and minus infinity at -1.
    """
    return (theta.log1p() - similar * theta).mean((-2, -1))


def joint_classifier(u: Tensor, v: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """C, (d, c), that minimises ||UC - Z||_F^2 + ||VC - Z||_F^2 + ridge n ||C||_F^2, of codes (n, d), labels Z (n, c).

    C = (U'U + V'V + ridge n I)^-1 (U'Z + V'Z): the squared eq. 18, and what step 7 must mean.
    """
    return regression(torch.cat([u, v], -2), torch.cat([labels, labels], -2), ridge * labels.shape[-2])


def summed_classifiers(u: Tensor, v: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Step 7 to the letter, but that it type-checks and has a ridge: (U'U + ridge n I)^-1 U'Z + the same of V.

    Each alone predicts the labels, so that together they predict twice these.
    """
    return sum(regression(codes, labels, ridge * labels.shape[-2]) for codes in (u, v))


def regression(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """(X'X + ridge I)^-1 X'Y, of x (n, d) and y (n, c), in the type of y; solved in float64.

    Not finite where x is not.
    """
    n, d = x.shape[-2:]
    x, target = x.double(), y.double()
    identity = torch.eye(min(n, d), dtype=x.dtype, device=x.device)
    # The same, by the smaller of two systems. Unchecked: a check would make a GPU wait.
    if n < d:
        return (x.mT @ torch.linalg.solve_ex(x @ x.mT + ridge * identity, target).result).to(y.dtype)
    return torch.linalg.solve_ex(x.mT @ x + ridge * identity, x.mT @ target).result.to(y.dtype)


THETA: dict[Similarities, Callable[[Tensor, Tensor], Tensor]] = {
    "half_dot": half_dots,
    "dot": dots,
    "half_cosine": half_cosines,
}
NORM: dict[str, Callable[[Tensor], Tensor]] = {"rows": mean_row_norm, "frobenius": mean_frobenius_norm}
CLASSIFIER: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "joint": joint_classifier,
    "paper_sum": summed_classifiers,
}
