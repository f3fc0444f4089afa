"""Hybrid representation learning (HRL).

Source: Hybrid representation learning for cross-modal retrieval (HRL), which builds upon CMDN. Card: deep/06, `hrl`.

Stages, their order and what goes into each are the paper's. It leaves much open, which is read as in `cmdn`: mean field
of 10 steps, z-scores under the classifiers, their last hidden layer as what goes on (H5). Ours are the joint RBM where
the paper has an autoencoder, whose equation is that of an RBM (H7); Adam; dropout in the classifiers; early stopping;
small layers; and the Gaussian RBM under texts that are not word counts.

The paper infers the mutual code of an image from the TEXT of its pair, of test items too, it seems (H1). Image and text
are then alike because both are made of one text: that is no cross-modal retrieval. `mutual` says what text is taken.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from cmr.errors import UserError
from cmr.methods.base import Array, History, Pairs
from cmr.methods.boltzmann.multimodal_dbn import MultimodalDBN
from cmr.methods.boltzmann.stacked import Stacks
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import DeepModel, embed
from cmr.methods.pipelines.fusion import SIDES, FusedClassifiers, Fusion, FusionAutoencoder, FusionRBM
from cmr.methods.pipelines.pipeline import Pipeline
from cmr.methods.pipelines.stacked_bimodal import BimodalStack, halved
from cmr.methods.pipelines.stages import Context, embedded
from cmr.rows import Rows

Mutual = Literal["filled", "own", "paired"]
Joint = Literal["rbm", "autoencoder"]
Without = Literal["nothing", "bimodal", "feed_forward", "feed_forward_bimodal", "friendly", "mutual"]

OTHER = {"images": "texts", "texts": "images"}


@dataclass(frozen=True)
class HRLModel(DeepModel):
    """A trained HRL; one with `mutual: paired` embeds an item with the help of its own other side, see PairedModel."""

    network: "HRLSpace"

    def embed_images(self, images: Array, paired_texts: Array | None = None) -> Array:
        """(n, d_x) -> (n, k) float32.

        Raises UserError where the texts of the images are lacking and the model needs them, and where they are given
        and it does not.
        """
        return self.network.embed("images", images, paired_texts)

    def embed_texts(self, texts: Array, paired_images: Array | None = None) -> Array:
        """(n, d_y) -> (n, k) float32; as `embed_images`."""
        return self.network.embed("texts", texts, paired_images)


@dataclass(frozen=True)
class HRL(Pipeline):
    """Codes of each modality alone (friendly) and as the other tells of it (mutual), joined, classified, made common.

    Several classes of a pair have equal shares in the cross-entropies.

    Parameters
    ----------
    image_friendly_widths, text_friendly_widths : units of the stack of RBMs of one modality whose top is its friendly
        code.
    mutual_width : units of the joint layer of the multimodal DBN, the mutual code.
    mutual : where the mutual code of an item comes from. `filled`: the DBN generates the other modality from the item,
        and the joint layer is inferred from what was generated. `own`: the joint layer is inferred from the item.
        `paired`: it is inferred from the true other side of the item's pair, for test items too: no cross-modal
        retrieval.
    joint : what joins both codes.
    n_components : units of the first of the stacked bimodal autoencoders; each next one has half as many.
    depth : how many of them there are at most; the valid part chooses. Of none, the posteriors of the two classifiers
        are compared, or what joins the codes where there are no classifiers.
    label_weight : of the cross-entropy on their joint layers; reconstruction has 1.
    without : stages left out, as in the paper's ablations; without one of the two codes nothing is joined.
    """

    image_friendly_widths: tuple[int, ...] = (64, 64, 64)
    text_friendly_widths: tuple[int, ...] = (64, 64, 64)
    mutual_width: int = 128
    mutual: Mutual = "filled"
    joint: Joint = "rbm"
    n_components: int = 64
    depth: int = 4
    label_weight: float = 1.0
    without: Without = "nothing"

    name: ClassVar[str] = "hrl"
    model: ClassVar[type[DeepModel]] = HRLModel

    @property
    def sees_pairs(self) -> bool:
        """Whether an item is embedded with the help of its own other side."""
        return self.mutual == "paired" and self.has_mutual

    @property
    def has_friendly(self) -> bool:
        """Whether items have friendly codes."""
        return self.without != "friendly"

    @property
    def has_mutual(self) -> bool:
        """Whether items have mutual codes."""
        return self.without != "mutual"

    @property
    def has_classifiers(self) -> bool:
        """Whether there are feed-forward classifiers."""
        return self.without not in ("feed_forward", "feed_forward_bimodal")

    @property
    def bimodal_widths(self) -> tuple[int, ...]:
        """Units of the stacked autoencoders."""
        left_out = self.depth == 0 or self.without in ("bimodal", "feed_forward_bimodal")
        return () if left_out else halved(self.n_components, self.depth)

    @property
    def friendly(self) -> "HRL":
        """The same, with the stacks of the friendly codes as its stacks."""
        return replace(self, image_stack_widths=self.image_friendly_widths, text_stack_widths=self.text_friendly_widths)

    def check(self, train: Pairs) -> None:
        """It needs classes, but where no stage that learns from them is left."""
        if self.has_classifiers or self.bimodal_widths:
            super().check(train)

    def fit_space(self, train: Pairs, valid: Pairs | None, context: Context) -> tuple["HRLSpace", History]:
        """See Pipeline."""
        stacks, network, history = None, None, {}
        if self.has_friendly:
            stacks = self.friendly.fit_stacks(train, context.seed, context.device, context.progress)
            history |= {f"friendly_{layer}": errors for layer, errors in stacks.history.items()}
        if self.has_mutual:
            network, errors = self.fit_multimodal_dbn(train, self.mutual_width, context)
            history |= errors
        space = HRLSpace(self, stacks, network, Inputs.of(train), context)
        return space, space.fit(train, valid, context) | history

    def untrained(self, inputs: Inputs) -> "HRLSpace":
        """See Pipeline."""
        stacks = self.friendly.untrained_stacks(inputs) if self.has_friendly else None
        network = MultimodalDBN(self.untrained_stacks(inputs), self.mutual_width) if self.has_mutual else None
        return HRLSpace(self, stacks, network, inputs, Context())


class HRLSpace(nn.Module):
    """All stages; `stacks` and `network`, of the friendly and the mutual codes, are trained, the others are not."""

    def __init__(
        self, method: HRL, stacks: Stacks | None, network: MultimodalDBN | None, inputs: Inputs, context: Context
    ) -> None:
        super().__init__()
        self.method, self.network = method, network
        tops = {} if stacks is None else {side: getattr(stacks, side) for side in SIDES}
        self.stacks = nn.ModuleDict(tops)
        self.fused = FusedClassifiers(
            *(self.untrained_joint(side, context) for side in SIDES),
            method.classifier_widths if method.has_classifiers else (),
            inputs.n_classes,
            method.dropout,
            context,
        )
        generator, widths = context.generator("weights of the bimodal autoencoders"), method.bimodal_widths
        self.top = BimodalStack(self.fused.widths, widths, inputs.n_classes, generator) if widths else None

    def untrained_joint(self, side: str, context: Context) -> Fusion:
        """Of the codes of one modality."""
        method = self.method
        widths = [self.stacks[side].width] if method.has_friendly else []
        widths += [method.mutual_width] if method.has_mutual else []
        if len(widths) == 1:
            return Fusion(*widths, context.device)
        if method.joint == "autoencoder":
            generator = context.generator(f"weights of the joint autoencoder of {side}")
            return FusionAutoencoder(widths, method.fusion_width, generator)
        return FusionRBM(sum(widths), method.fusion_width, context.device)

    def mutual_code(self, given: str, x: Tensor) -> Tensor:
        """(b, d) items of one modality, `given` -> (b, k) joint layer that they, or what they generate, drive."""
        images, joint = given == "images", self.network.joint
        code, other = self.network.from_images(x) if images else self.network.from_texts(x)
        if self.method.mutual == "filled":
            code, _ = joint.from_texts(other) if images else joint.from_images(other)
        return code

    def codes(self, side: str, items: Rows, paired: Rows | None = None) -> Array:
        """n items of one modality -> (n, d) friendly and mutual codes side by side, in [0, 1].

        `paired` are the other sides of the same pairs, see HRLModel.
        """
        given, source = self.source(side, items, paired)
        codes = [embed(self, self.stacks[side], items)] if self.method.has_friendly else []
        if self.method.has_mutual:
            codes.append(embed(self, lambda x: self.mutual_code(given, x), source))
        return np.concatenate(codes, axis=1)

    def source(self, side: str, items: Rows, paired: Rows | None) -> tuple[str, Rows]:
        """What drives the joint layer: the name of a modality, and items of it."""
        method, one = self.method, OTHER[side][:-1]
        if not method.sees_pairs:
            if paired is not None:
                raise UserError(
                    f"{method.name}: with mutual: {method.mutual} it embeds {side} by themselves and would not look at "
                    f"the {one} that each is paired with. Call embed_{side}({side}) alone"
                )
            return side, items
        if paired is None:
            raise UserError(
                f"{method.name}: with mutual: paired part of what it says of {side} is made of the {one} that each is "
                f"paired with, so that {side} alone cannot be embedded. Give paired_{OTHER[side]} too, as "
                "cmr.methods.base.embed_sides does, or take mutual: filled or own, which do without"
            )
        if len(paired) != len(items):
            raise UserError(
                f"{method.name}: row i of paired_{OTHER[side]} must belong to row i of {side}, but there are "
                f"{len(paired)} and {len(items)} rows"
            )
        return OTHER[side], paired

    def embed(self, side: str, items: Rows, paired: Rows | None = None) -> Array:
        """n items of one modality -> (n, k) float32; `paired` as in `codes`."""
        return embed(self, lambda codes: self.above(side, codes), self.codes(side, items, paired))

    def above(self, side: str, codes: Tensor) -> Tensor:
        """(b, d) codes of one modality -> (b, k)."""
        if self.top is None:
            return self.fused.posteriors(side, codes) if self.method.has_classifiers else self.fused.embed(side, codes)
        hidden = self.fused.embed(side, codes)
        return self.top.embed_images(hidden) if side == "images" else self.top.embed_texts(hidden)

    def fit(self, train: Pairs, valid: Pairs | None, context: Context) -> History:
        """Train the stages in place, one after the other."""
        method = self.method
        descent = method.descent()
        codes = [self.codes_of_pairs(part) for part in (train, valid)]
        history = self.fused.fit(*codes, method.divergence(), descent, context)
        if self.top is None:
            return history
        hidden = [embedded(self, self.fused.embed_images, self.fused.embed_texts, part) for part in codes]
        weights = {"reconstruction": 1.0, "label": method.label_weight}
        return history | self.top.fit(*hidden, weights, descent, context)

    def codes_of_pairs(self, pairs: Pairs | None) -> Pairs | None:
        """The same pairs, their views replaced by the codes of each side; None of none."""
        if pairs is None:
            return None
        sides = {"images": pairs.images, "texts": pairs.texts}
        views = (
            self.codes(side, sides[side], sides[OTHER[side]] if self.method.sees_pairs else None) for side in sides
        )
        return Pairs(*views, pairs.labels, groups=pairs.groups)
