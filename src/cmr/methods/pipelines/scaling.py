"""Layers that scale what goes into a stage or comes out of the last, by statistics of the train part alone."""

import torch
from torch import Tensor, nn

from cmr.methods.deep.layers import Standardise
from cmr.methods.deep.network import Batch, TrainableSpace, outputs


class MinMax(nn.Module):
    """Numbers of the train part's range -> [0, 1]; those beyond it are cut. A column without a range becomes 0.

    Parameters
    ----------
    ranges : one a column; 1: all columns have the range of the whole matrix.
    """

    def __init__(self, ranges: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(ranges, device=device))
        self.register_buffer("span", torch.ones(ranges, device=device))

    @torch.no_grad()
    def fit(self, x: Tensor) -> Tensor:
        """Take the ranges of x (n, d); returns x scaled."""
        x = x.to(self.low)
        values = x.reshape(-1, len(self.low))
        self.low.copy_(values.amin(0))
        span = values.amax(0) - self.low
        self.span.copy_(torch.where(span > 0, span, torch.inf))
        return self(x)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.low) / self.span).clamp(0.0, 1.0)


class StandardisedSpace(TrainableSpace):
    """A space whose embeddings are z-scored, each modality by its own train statistics, as of the end of each epoch."""

    def __init__(self, space: TrainableSpace, n_components: int, device: torch.device) -> None:
        super().__init__()
        self.space = space
        self.image_scale, self.text_scale = (Standardise(n_components).to(device) for _ in range(2))

    def embed_images(self, images: Tensor) -> Tensor:
        return self.image_scale(self.space.embed_images(images))

    def embed_texts(self, texts: Tensor) -> Tensor:
        return self.text_scale(self.space.embed_texts(texts))

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        return self.space.losses(batch, progress)

    def end_epoch(self, train: Batch) -> None:
        self.image_scale.fit(outputs(self.space.embed_images, train.images).cpu().numpy())
        self.text_scale.fit(outputs(self.space.embed_texts, train.texts).cpu().numpy())
