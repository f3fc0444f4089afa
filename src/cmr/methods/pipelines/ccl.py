"""Cross-modal correlation learning with multi-grained fusion (CCL).

Source: Peng, Qi, Huang & Yuan, CCL: Cross-modal correlation learning with multigrained fusion by hierarchical network,
IEEE Transactions on Multimedia 2018. Card: deep/06, `ccl`.

Stages, alpha, margin and objective are the authors'. Each grain has its own stacks, those of the fine one trained on
all parts of the train items. Ours are: parts are five crops and the sentences of a text; small layers; Adam in place of
gradient descent with momentum; dropout in the classifiers; early stopping; z-scores of train statistics under the last
network too; and the Gaussian RBM under texts that are not word counts. Without parts (`grains` is coarse alone, as in
`ccl_coarse`) the RBM of a modality joins the code with the top of the stack: not the authors' method.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from cmr.errors import UserError
from cmr.methods.base import History, NotApplicableError, Pairs
from cmr.methods.boltzmann.stack import fit_stack
from cmr.methods.boltzmann.stacked import Stacks
from cmr.methods.deep.corr_ae import CorrespondenceAutoencoders
from cmr.methods.deep.inputs import Inputs
from cmr.methods.deep.network import CommonSpace
from cmr.methods.pipelines.contrastive import ContrastiveSpace, Pathway
from cmr.methods.pipelines.fusion import SIDES
from cmr.methods.pipelines.grains import GRAINS, present_parts, whole
from cmr.methods.pipelines.pipeline import Pipeline
from cmr.methods.pipelines.scaling import MinMax, StandardisedSpace
from cmr.methods.pipelines.stages import Context, embedded


@dataclass(frozen=True)
class CCL(Pipeline):
    """Correlated codes of wholes and of parts, joined, classified, and drawn together where classes agree.

    Several classes of a pair have equal shares in the cross-entropies; items that share one belong together.

    Parameters
    ----------
    grains : `coarse`, whole items, and `fine`, the mean over their parts. One alone is joined with the top of its
        stack.
    code_width : units of the correspondence autoencoders.
    alpha : weight of the distance between their two codes; reconstruction has 1 - alpha.
    top_width : units of the first layer of the last network, and of the layer under its softmax.
    n_components : dimension k of the embedding.
    margin : m, the squared distance beyond which items of different classes leave each other alone.
    """

    grains: tuple[str, ...] = ("coarse", "fine")
    code_width: int = 128
    alpha: float = 0.7
    top_width: int = 128
    n_components: int = 64
    margin: float = 1.0
    learning_rate: float = 0.003

    name: ClassVar[str] = "ccl"

    def check(self, train: Pairs) -> None:
        """It needs classes, and parts where there is a fine grain."""
        super().check(train)
        grains = list(self.grains)
        if not grains or not set(grains) <= set(GRAINS) or len(set(grains)) < len(grains):
            raise UserError(f"{self.name}: grains is {grains}; it can be coarse, fine, or both")
        kinds = {"images": train.image_kind, "texts": train.text_kind}
        lacking = [side for side, kind in kinds.items() if kind != "patches"]
        if "fine" in grains and lacking:
            raise NotApplicableError(
                f"{self.name}: it learns from parts of images and texts, but the {' and '.join(lacking)} have none. "
                "Choose views whose settings name `patches`, or ccl_coarse, which does without parts"
            )

    def fit_space(self, train: Pairs, valid: Pairs | None, context: Context) -> tuple["CCLSpace", History]:
        """See Pipeline."""
        train = train.in_memory()
        fit = {"coarse": self.fit_whole_stacks, "fine": self.fit_part_stacks}
        stacks = {grain: fit[grain](train, context) for grain in self.grains}
        space = CCLSpace(self, stacks, Inputs.of(train), context)
        history = space.fit(train, valid, context)
        for grain, own in stacks.items():
            history |= {f"{grain}_{layer}": errors for layer, errors in own.history.items()}
        return space, history

    def fit_whole_stacks(self, train: Pairs, context: Context) -> Stacks:
        """Those of other methods on the same views."""
        views = {"images": whole(train.images), "texts": whole(train.texts)}
        wholes = replace(train, **views, image_kind="vectors", text_kind="vectors")
        return self.fit_stacks(wholes, context.seed, context.device, context.progress)

    def fit_part_stacks(self, train: Pairs, context: Context) -> Stacks:
        """Trained on all parts that are present, as many at a step as a batch of items has on average."""
        stacks, history = [], {}
        for side, widths, counts in (
            ("images", self.image_stack_widths, False),
            ("texts", self.text_stack_widths, train.texts_are_counts),
        ):
            parts = present_parts(getattr(train, side))
            if not len(parts):
                raise NotApplicableError(f"{self.name}: none of the {len(train)} train {side} has a part")
            stack, errors = fit_stack(
                parts,
                tuple(widths),
                counts=counts,
                epochs=self.stack_epochs,
                batch_size=self.stack_batch_size * math.ceil(len(parts) / len(train)),
                seed=context.seed,
                purpose=f"stack of parts of {side}",
                device=context.device,
                progress=context.progress,
            )
            stacks.append(stack)
            history |= {f"{side}_{layer}": values for layer, values in errors.items()}
        return Stacks(*stacks, history)

    def untrained(self, inputs: Inputs) -> "CCLSpace":
        """See Pipeline."""
        return CCLSpace(self, {grain: self.untrained_stacks(inputs) for grain in self.grains}, inputs, Context())


class CCLSpace(CommonSpace):
    """All stages; the stacks of the grains are trained, the others are not."""

    def __init__(self, method: CCL, stacks: Mapping[str, Stacks], inputs: Inputs, context: Context) -> None:
        super().__init__()
        self.method = method
        self.tops = nn.ModuleDict(
            {
                grain: nn.ModuleDict({side: GRAINS[grain](getattr(own, side)) for side in SIDES})
                for grain, own in stacks.items()
            }
        )
        self.autoencoders = nn.ModuleDict(
            {
                grain: CorrespondenceAutoencoders(
                    own.images.width,
                    own.texts.width,
                    method.code_width,
                    context.generator(f"weights of the {grain} correspondence autoencoders"),
                )
                for grain, own in stacks.items()
            }
        )
        first, *others = stacks.values()
        beside = [own.width for own in (first.images, first.texts)] if not others else [method.code_width] * 2
        widths = tuple(method.code_width + width for width in beside)
        self.scales = nn.ModuleDict({side: MinMax(d, context.device) for side, d in zip(SIDES, widths, strict=True)})
        self.fused = method.fused(widths, inputs.n_classes, context)
        generator = context.generator("weights of the contrastive network")
        pathways = [
            Pathway(width, method.top_width, method.n_components, inputs.n_classes, generator)
            for width in self.fused.widths
        ]
        self.top = StandardisedSpace(ContrastiveSpace(*pathways, method.margin), method.n_components, context.device)

    def image_codes(self, images: Tensor) -> Tensor:
        """(b, d_x) or (b, 1 + p, d_x) -> the codes of the grains side by side, or of one grain beside its top."""
        tops = {grain: own["images"](images) for grain, own in self.tops.items()}
        codes = [self.autoencoders[grain].embed_images(top) for grain, top in tops.items()]
        return torch.cat(codes if len(codes) > 1 else [*tops.values(), *codes], dim=-1)

    def text_codes(self, texts: Tensor) -> Tensor:
        """(b, d_y) or (b, 1 + q, d_y) -> likewise."""
        tops = {grain: own["texts"](texts) for grain, own in self.tops.items()}
        codes = [self.autoencoders[grain].embed_texts(top) for grain, top in tops.items()]
        return torch.cat(codes if len(codes) > 1 else [*tops.values(), *codes], dim=-1)

    def embed_images(self, images: Tensor) -> Tensor:
        return self.top.embed_images(self.fused.embed_images(self.scales["images"](self.image_codes(images))))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.top.embed_texts(self.fused.embed_texts(self.scales["texts"](self.text_codes(texts))))

    def fit(self, train: Pairs, valid: Pairs | None, context: Context) -> History:
        """Train the stages in place, one after the other."""
        method, history = self.method, {}
        descent, parts = method.descent(), (train, valid)
        correlate = {"reconstruction": 1.0 - method.alpha, "correspondence": method.alpha}
        for grain, autoencoders in self.autoencoders.items():
            own = self.tops[grain]
            tops = [embedded(self, own["images"], own["texts"], part) for part in parts]
            purpose = f"{grain} correspondence autoencoders"
            training = descent.share(autoencoders, *tops, correlate, purpose, context)
            history |= {f"{grain}_correspondence_{name}": values for name, values in training.items()}
        codes = [embedded(self, self.image_codes, self.text_codes, part) for part in parts]
        for side, scale in self.scales.items():
            scale.fit(torch.from_numpy(getattr(codes[0], side)))
        codes = [embedded(self, self.scales["images"], self.scales["texts"], part) for part in codes]
        history |= self.fused.fit(*codes, method.divergence(), descent, context)
        hidden = [embedded(self, self.fused.embed_images, self.fused.embed_texts, part) for part in codes]
        self.top.space.images.scale.fit(hidden[0].images)
        self.top.space.texts.scale.fit(hidden[0].texts)
        weights = {"contrastive": 1.0, "label": 1.0}
        return history | descent.share(self.top, *hidden, weights, "contrastive network", context, margin=method.margin)
