"""A linear autoencoder a view, whose decoder is the transpose of its encoder, with one sparse code for both views.

Source: Sun et al., Scientific Reports 11, 2021; Kodirov et al., CVPR 2017 (encoder by a Sylvester equation). Card:
linear/60, step 1 `tied`.
"""

from collections.abc import Iterator

import numpy as np

from cmr.methods.linear.algebra import Array
from cmr.methods.linear.descent import Round
from cmr.methods.linear.principal import Encoding, PrincipalView, Views, products, projected
from cmr.methods.linear.sparse_coding import lasso_of_one_hessian


def tied_autoencoder(
    views: Views, semantic: Array, *, decoder_weight: float, code_weight: float, sparsity: float, ridge: float
) -> Iterator[Round[Encoding]]:
    """Descend, without end, from A = C, the semantic code (n, k), in

        sum_d |Z_d P_d - A|^2 + decoder_weight |Z_d - A P_d'|^2 + ridge' |P_d|^2
        + code_weight |A - C|^2 + sparsity |A|_1,

    with ridge' = ridge * n / d of each view. The objective never rises.
    """
    code = semantic
    while True:
        gram = code.T @ code
        sums = products(views, code)
        weights = [
            encoder(view, own, gram, decoder_weight, ridge * view.mean_value)
            for view, own in zip(views, sums, strict=True)
        ]
        encoded = projected(views, weights)
        objective = code_weight * ((code - semantic) ** 2).sum() + sparsity * np.abs(code).sum()
        for view, own, z, p in zip(views, sums, encoded, weights, strict=True):
            decoded = view.values.sum() - 2 * (p * own).sum() + ((p.T @ p) * gram).sum()
            objective += ((z - code) ** 2).sum() + decoder_weight * decoded + ridge * view.mean_value * (p**2).sum()
        yield Round(float(objective), Encoding(weights, code))
        hessian = (len(views) + code_weight) * np.eye(code.shape[1])
        hessian += decoder_weight * sum(p.T @ p for p in weights)
        targets = (1 + decoder_weight) * sum(encoded) + code_weight * semantic
        code = lasso_of_one_hessian(hessian, targets, sparsity, code)


def encoder(view: PrincipalView, product: Array, gram: Array, decoder_weight: float, ridge: float) -> Array:
    """P (r, k) with (Z'Z + ridge I) P + decoder_weight P A'A = (1 + decoder_weight) Z'A, of Z'A (r, k) and A'A (k, k).

    A Sylvester equation, diagonal in the axes of Z'Z and A'A.
    """
    values, axes = np.linalg.eigh(gram)
    denominator = view.values[:, None] + ridge + decoder_weight * np.maximum(values, 0.0)
    return (1 + decoder_weight) * (product @ axes) / denominator @ axes.T
