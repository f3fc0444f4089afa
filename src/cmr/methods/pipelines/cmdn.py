"""Cross-media multiple deep networks (CMDN).

Source: Peng, Huang & Qi, Cross-media shared representation by hierarchical learning with multiple deep networks, IJCAI
2016. Card: deep/06, `cmdn`.

Stages, their order and what goes into each are the authors'. Of their released code come the rectified autoencoders,
the mean field of 10 steps, the joint layer as what the multimodal DBN says of a modality, the z-scores under the
classifiers and the halving of the stacked autoencoders. The z-scores at the end are of the train part, where the
released code takes the test part's. Ours are the small layers, Adam, dropout in the classifiers, early stopping, the
choice of the number of stacked autoencoders by the valid part, and the Gaussian RBM under texts that are not word
counts.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.methods.base import History, Pairs
from cmr.methods.boltzmann.multimodal_dbn import MultimodalDBN
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import CommonSpace
from cmr.methods.pipelines.fusion import SIDES
from cmr.methods.pipelines.intra_modal import IntraModalAutoencoder
from cmr.methods.pipelines.pipeline import Pipeline
from cmr.methods.pipelines.stacked_bimodal import BimodalStack, halved
from cmr.methods.pipelines.stages import Context, embedded
from cmr.rows import in_memory


@dataclass(frozen=True)
class CMDN(Pipeline):
    """Codes of each modality alone and of what it shares with the other, joined, classified, and made common.

    Several classes of a pair have equal shares in the cross-entropies.

    Parameters
    ----------
    autoencoder_widths : units of the autoencoder of one modality; its code is the last layer.
    autoencoder_epochs : passes of each of its trainings.
    inter_width : units of the joint layer of the multimodal DBN.
    n_components : units of the first of the stacked bimodal autoencoders; each next one has half as many.
    depth : how many of them there are at most; the valid part chooses.
    label_weight : of the cross-entropy on their joint layers; reconstruction has 1.
    """

    autoencoder_widths: tuple[int, ...] = (128, 64)
    autoencoder_epochs: int = 10
    inter_width: int = 128
    n_components: int = 64
    depth: int = 4
    label_weight: float = 1.0

    name: ClassVar[str] = "cmdn"

    def fit_space(self, train: Pairs, valid: Pairs | None, context: Context) -> tuple["CMDNSpace", History]:
        """See Pipeline."""
        network, history = self.fit_multimodal_dbn(train, self.inter_width, context)
        space = CMDNSpace(self, network, Inputs.of(train), context)
        return space, space.fit(train, valid, context) | history

    def untrained(self, inputs: Inputs) -> "CMDNSpace":
        """See Pipeline."""
        network = MultimodalDBN(self.untrained_stacks(inputs), self.inter_width)
        return CMDNSpace(self, network, inputs, Context())


class CMDNSpace(CommonSpace):
    """All stages; `network` is trained, the others are not."""

    def __init__(self, method: CMDN, network: MultimodalDBN, inputs: Inputs, context: Context) -> None:
        super().__init__()
        self.method, self.network = method, network

        self.autoencoders = nn.ModuleDict(
            {
                side: IntraModalAutoencoder(
                    getattr(inputs, side).dimension,
                    method.autoencoder_widths,
                    context.generator(f"weights of the autoencoder of {side}"),
                )
                for side in SIDES
            }
        )
        widths = (self.autoencoders[side].width + method.inter_width for side in SIDES)
        self.fused = method.fused(tuple(widths), inputs.n_classes, context)
        self.top = BimodalStack(
            self.fused.widths,
            halved(method.n_components, method.depth),
            inputs.n_classes,
            context.generator("weights of the bimodal autoencoders"),
        )

    def image_codes(self, images: Tensor) -> Tensor:
        """(b, d_x) -> what the image says alone, and the joint layer with the image clamped, side by side."""
        return torch.cat([self.autoencoders["images"](images), self.network.from_images(images)[0]], dim=-1)

    def text_codes(self, texts: Tensor) -> Tensor:
        """(b, d_y) -> likewise."""
        return torch.cat([self.autoencoders["texts"](texts), self.network.from_texts(texts)[0]], dim=-1)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.top.embed_images(self.fused.embed_images(self.image_codes(images)))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.top.embed_texts(self.fused.embed_texts(self.text_codes(texts)))

    def fit(self, train: Pairs, valid: Pairs | None, context: Context) -> History:
        """Train the stages in place, one after the other."""
        method, history = self.method, {}
        descent = method.descent()
        alone = replace(descent, epochs=method.autoencoder_epochs)
        for side, autoencoder in self.autoencoders.items():
            errors = autoencoder.fit(in_memory(getattr(train, side)), alone, f"autoencoder of {side}", context)
            history |= {f"{side}_{name}": values for name, values in errors.items()}
        codes = [embedded(self, self.image_codes, self.text_codes, part) for part in (train, valid)]
        history |= self.fused.fit(*codes, method.divergence(), descent, context)
        hidden = [embedded(self, self.fused.embed_images, self.fused.embed_texts, part) for part in codes]
        weights = {"reconstruction": 1.0, "label": method.label_weight}
        return history | self.top.fit(*hidden, weights, descent, context)
