"""Codes of one modality that differ in kind, such as of the item alone and of what it shares with its pair, joined and
turned into units that tell the classes apart: the second stage of CMDN, CCL and HRL.

Card: deep/06, `cmdn`, step 2: a joint RBM, z-scores, a feed-forward classifier. Card `hrl`: the joint network may be an
autoencoder, and ablations do without it or without the classifier.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cmr.methods.base import Array, History, Pairs
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence, fit_rbm
from cmr.methods.boltzmann.rbm import BernoulliRBM
from cmr.methods.deep.layers import Linear, Standardise
from cmr.methods.deep.losses import squared_distance
from cmr.methods.deep.network import Batch, CommonSpace, embed
from cmr.methods.pipelines.classifier import Classifier
from cmr.methods.pipelines.stages import Context, Descent, OneModality, alone

SIDES = ("images", "texts")


class Fusion(nn.Module):
    """Codes in [0, 1] side by side, (b, d) -> (b, d), z-scored: what is left where no network joins them."""

    def __init__(self, width: int, device: torch.device) -> None:
        super().__init__()
        self.scale = Standardise(width).to(device)

    @property
    def width(self) -> int:
        """k, numbers that come out."""
        return len(self.scale.mean)

    def join(self, codes: Tensor) -> Tensor:
        """(b, d) -> (b, k), not scaled."""
        return codes

    def forward(self, codes: Tensor) -> Tensor:
        return self.scale(self.join(codes))

    def fit(
        self, codes: Array, divergence: ContrastiveDivergence, descent: Descent, side: str, context: Context
    ) -> History:
        """Train in place on codes (n, d) of a modality as a shared stage; returns the error of each epoch, if any."""
        history = self.fit_join(codes, divergence, descent, side, context)
        self.scale.fit(embed(self, self.join, codes))
        return history

    def fit_join(
        self, codes: Array, divergence: ContrastiveDivergence, descent: Descent, side: str, context: Context
    ) -> History:
        """Train what `join` computes."""
        return {}


class FusionRBM(Fusion):
    """Codes in [0, 1] side by side, (b, d) -> (b, k) probabilities of the joint units, z-scored."""

    def __init__(self, dimension: int, width: int, device: torch.device) -> None:
        super().__init__(width, device)
        self.rbm = BernoulliRBM(dimension, width, device)

    def join(self, codes: Tensor) -> Tensor:
        return self.rbm(codes)

    def fit_join(
        self, codes: Array, divergence: ContrastiveDivergence, descent: Descent, side: str, context: Context
    ) -> History:
        errors = fit_rbm(
            self.rbm,
            codes,
            divergence,
            seed=context.seed,
            purpose=f"joint RBM of {side}",
            device=context.device,
            progress=context.progress,
        )
        return {f"{side}_joint_rbm": errors["reconstruction_error"]}


class FusionAutoencoder(Fusion):
    """Codes in [0, 1] side by side, (b, d) -> (b, k) joint units of an autoencoder, z-scored."""

    def __init__(self, dimensions: Sequence[int], width: int, generator: torch.Generator) -> None:
        super().__init__(width, generator.device)
        self.autoencoder = JointAutoencoder(dimensions, width, generator)

    def join(self, codes: Tensor) -> Tensor:
        return self.autoencoder.embed(codes)

    def fit_join(
        self, codes: Array, divergence: ContrastiveDivergence, descent: Descent, side: str, context: Context
    ) -> History:
        unlabelled = alone(codes, np.zeros((len(codes), 0), dtype=bool))
        purpose = f"joint autoencoder of {side}"
        training = descent.share(self.autoencoder, unlabelled, None, {"loss": 1.0}, purpose, context)
        return {f"{side}_joint_autoencoder": training["loss"]}


class JointAutoencoder(OneModality):
    """Codes in [0, 1] side by side -> k joint units, and the way back; all units are sigmoid.

    Each code has a hidden layer of its own, as wide as it is; the joint units lie on these (H7).

    Parameters
    ----------
    dimensions : of the codes.
    width : k.
    """

    def __init__(self, dimensions: Sequence[int], width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.dimensions = list(dimensions)
        self.encoders, self.decoders = (
            nn.ModuleList(Linear(d, d, generator) for d in self.dimensions) for _ in range(2)
        )
        self.joint = Linear(sum(self.dimensions), width, generator)
        self.back = Linear(width, sum(self.dimensions), generator)

    def embed(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.joint(self.each(self.encoders, x)))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        again = self.each(self.decoders, torch.sigmoid(self.back(self.embed(batch.images))))
        return {"loss": squared_distance(again, batch.images)}

    def each(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        """Each code through its own layer, side by side again."""
        codes = x.split(self.dimensions, dim=-1)
        return torch.sigmoid(torch.cat([layer(code) for layer, code in zip(layers, codes, strict=True)], dim=-1))


class FusedClassifiers(CommonSpace):
    """A joint network and a classifier a modality: codes (b, d) -> (b, k), the classifier's last hidden layer.

    The two modalities do not know of each other: their embeddings are of one width, but not of one space.

    Parameters
    ----------
    images, texts : the joint networks.
    classifier_widths, dropout : see Classifier. Without any widths there are no classifiers, and the joint networks
        give the result.
    """

    def __init__(
        self,
        images: Fusion,
        texts: Fusion,
        classifier_widths: Sequence[int],
        n_classes: int,
        dropout: float,
        context: Context,
    ) -> None:
        super().__init__()
        self.joints = nn.ModuleDict(dict(zip(SIDES, (images, texts), strict=True)))
        generators = {side: context.generator(f"weights of the classifier of {side}") for side in SIDES}
        self.classifiers = nn.ModuleDict(
            {
                side: Classifier(self.joints[side].width, classifier_widths, n_classes, dropout, generators[side])
                for side in (SIDES if classifier_widths else ())
            }
        )

    @property
    def widths(self) -> tuple[int, int]:
        """k of images and of texts."""
        result = self.classifiers or self.joints
        return result["images"].width, result["texts"].width

    def embed_images(self, images: Tensor) -> Tensor:
        return self.embed("images", images)

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.embed("texts", texts)

    def embed(self, side: str, codes: Tensor) -> Tensor:
        """(b, d) -> (b, k)."""
        joined = self.joints[side](codes)
        return self.classifiers[side].hidden(joined) if self.classifiers else joined

    def posteriors(self, side: str, codes: Tensor) -> Tensor:
        """(b, d) -> (b, c) probabilities of the classes, for which there must be classifiers."""
        return self.classifiers[side].embed(self.joints[side](codes))

    def fit(
        self,
        train: Pairs,
        valid: Pairs | None,
        divergence: ContrastiveDivergence,
        descent: Descent,
        context: Context,
    ) -> History:
        """Train in place on pairs of codes in [0, 1].

        Returns, of either side, the error of the joint network, `<side>_joint_...`, and the classifier's loss and valid
        mAP, `<side>_classifier_...`.
        """
        history: History = {}
        for side in SIDES:
            joint = self.joints[side]
            history |= joint.fit(getattr(train, side), divergence, descent, side, context)
            if not self.classifiers:
                continue
            parts = [
                None if part is None else alone(embed(joint, joint, getattr(part, side)), part.labels)
                for part in (train, valid)
            ]
            training = self.classifiers[side].fit(*parts, descent, f"classifier of {side}", context)
            history |= {f"{side}_classifier_{name}": values for name, values in training.items()}
        return history
