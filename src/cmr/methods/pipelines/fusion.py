"""Codes of one modality that differ in kind, such as of the item alone and of what it shares with its pair, joined and
turned into units that tell the classes apart: the second stage of CMDN, CCL and HRL.

Card: deep/06, `cmdn`, step 2: a joint RBM, z-scores, a feed-forward classifier.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmr.methods.base import Array, History, Pairs
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.rbm import BernoulliRBM
from cmr.methods.deep.layers import Standardise
from cmr.methods.deep.network import CommonSpace, embed
from cmr.methods.pipelines.classifier import Classifier
from cmr.methods.pipelines.stages import Context, Descent, alone

SIDES = ("images", "texts")


class FusionRBM(nn.Module):
    """Codes in [0, 1] side by side, (b, d) -> (b, k) probabilities of the joint units, z-scored."""

    def __init__(self, dimension: int, width: int, device: torch.device) -> None:
        super().__init__()
        self.rbm = BernoulliRBM(dimension, width, device)
        self.scale = Standardise(width).to(device)

    def forward(self, codes: Tensor) -> Tensor:
        return self.scale(self.rbm(codes))

    def fit(self, codes: Array, divergence: ContrastiveDivergence, purpose: str, context: Context) -> History:
        """Train in place on codes (n, d), the RBM as a shared stage; returns its `reconstruction_error`."""
        history = fit_rbm(
            self.rbm,
            codes,
            divergence,
            seed=context.seed,
            purpose=purpose,
            device=context.device,
            progress=context.progress,
        )
        self.scale.fit(embed(self.rbm, self.rbm, codes))
        return history


class FusedClassifiers(CommonSpace):
    """A joint RBM and a classifier a modality: codes (b, d) -> (b, k), the classifier's last hidden layer.

    The two modalities do not know of each other: their embeddings are of one width, but not of one space.

    Parameters
    ----------
    dimensions : d of images and of texts.
    width : units of the joint RBM.
    classifier_widths, dropout : see Classifier.
    """

    def __init__(
        self,
        dimensions: tuple[int, int],
        width: int,
        classifier_widths: Sequence[int],
        n_classes: int,
        dropout: float,
        context: Context,
    ) -> None:
        super().__init__()
        self.joints = nn.ModuleDict(
            {side: FusionRBM(d, width, context.device) for side, d in zip(SIDES, dimensions, strict=True)}
        )
        generators = {side: context.generator(f"weights of the classifier of {side}") for side in SIDES}
        self.classifiers = nn.ModuleDict(
            {side: Classifier(width, classifier_widths, n_classes, dropout, generators[side]) for side in SIDES}
        )

    @property
    def widths(self) -> tuple[int, int]:
        """k of images and of texts."""
        return self.classifiers["images"].width, self.classifiers["texts"].width

    def embed_images(self, images: Tensor) -> Tensor:
        return self.classifiers["images"].hidden(self.joints["images"](images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.classifiers["texts"].hidden(self.joints["texts"](texts))

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None,
        divergence: ContrastiveDivergence,
        descent: Descent,
        context: Context,
    ) -> History:
        """Train in place on pairs of codes in [0, 1].

        Returns, of either side, `<side>_joint_rbm` and the classifier's loss and valid mAP, `<side>_classifier_...`.
        """
        history: History = {}
        for side in SIDES:
            joint, classifier = self.joints[side], self.classifiers[side]
            errors = joint.fit(getattr(train, side), divergence, f"joint RBM of {side}", context)
            history[f"{side}_joint_rbm"] = errors["reconstruction_error"]
            parts = [
                None if part is None else alone(embed(joint, joint, getattr(part, side)), part.labels)
                for part in (train, valid)
            ]
            training = classifier.fit(*parts, descent, f"classifier of {side}", context)
            history |= {f"{side}_classifier_{name}": values for name, values in training.items()}
        return history
