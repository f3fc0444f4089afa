"""A network trained further on the train part's images and classes, and one of its layers as a view."""

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, PILToTensor, RandomCrop, RandomHorizontalFlip, Resize

from cmr.checkpoint import BestEpoch, Checkpoint, TrainingState, to_arrays, to_tensors
from cmr.datasets.images import load_rgb
from cmr.device import torch_threads
from cmr.errors import UserError
from cmr.progress import SILENT, Progress
from cmr.provenance import file_sha256
from cmr.views.base import LabelledImages, LearntImageView, State
from cmr.views.image.networks import LayerOutput, NetworkLayer

# Fixed, so that weights do not depend on how many cores there are; more would help a processor with more cores.
THREADS = 2

log = logging.getLogger(__name__)


@dataclass
class FineTunedLayer(NetworkLayer, LearntImageView):
    """A `NetworkLayer` whose network, up to that layer, has learnt the classes of the train part end to end.

    A new linear layer on top gives class scores; the loss is softmax cross-entropy where every image has one class,
    else logistic, a class each. Images are cut out at random and mirrored at random. Stochastic gradient descent with
    two learning rates, both divided by ten after half of the epochs, as Xia et al. (2018, EISR) train AlexNet. The
    epoch with the largest likelihood of the valid part is kept; without a valid part, the last.

    Parameters
    ----------
    epochs : passes over the train part, at most.
    patience : epochs without a better one after which training stops.
    learning_rate : of the pretrained layers.
    new_layer_learning_rate : of the layer on top.
    momentum, weight_decay : of the descent.
    images_a_step : the last step of an epoch may have fewer.
    seed : of the new layer, the order, the crops and the mirroring.
    """

    epochs: int = 10
    patience: int = 3
    learning_rate: float = 0.001
    new_layer_learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    images_a_step: int = 32
    seed: int = 0

    def fit(
        self,
        train: LabelledImages,
        valid: LabelledImages | None = None,
        *,
        workers: int = 1,
        device: str = "cpu",
        progress: Progress = SILENT,
    ) -> Self:
        """Train on images and classes; `workers` decode images, the weights are the same for any number.

        Raises UserError where there are no classes, or fewer than two images, or training diverges.
        """
        if train.labels.shape[1] == 0:
            raise UserError("fine-tuning needs classes, but the data set has none: choose features of a fixed network")
        if len(train) < 2:
            raise UserError("fine-tuning needs two images of the train part at least")
        with torch_threads(THREADS):
            return self._fit(train, valid, workers, device, progress)

    def _fit(
        self, train: LabelledImages, valid: LabelledImages | None, workers: int, device: str, progress: Progress
    ) -> Self:
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng():  # new layers draw weights that others replace
            self.place(device)
            classifier = _Classifier(self._network, self._width(), train.labels.shape[1], generator).to(self._device)
        training = TrainingState([classifier], self._optimiser(classifier), [generator])
        (run,) = training.runs
        checkpoint = self._checkpoint(train, valid, progress)
        training.resume(checkpoint)
        parts = [part for part in (train, valid) if part is not None]
        loss = _softmax_loss if all((part.labels.sum(axis=1) == 1).all() for part in parts) else _logistic_loss
        while not training.finished:
            for group, rate in zip(training.optimiser.param_groups, self._rates, strict=True):
                group["lr"] = rate if training.epoch < self.epochs / 2 else rate / 10
            name = f"epoch {training.epoch + 1} of {self.epochs}"
            with torch.random.fork_rng():
                torch.manual_seed(_number(f"{self.seed} {training.epoch}"))  # dropout knows no other source
                means = {"loss": self._learn(run, training.optimiser, train, loss, workers, progress, name)}
            if valid is not None:
                means["valid_log_likelihood"] = -self._score(classifier, valid, loss, workers)
            if not all(map(math.isfinite, means.values())):
                raise UserError(f"fine-tuning diverged in {name}: lower learning_rate and new_layer_learning_rate")
            log.info("%s: %s", name, ", ".join(f"{quantity} {value:.4f}" for quantity, value in means.items()))
            run.record(means, self.epochs, self.patience, score="valid_log_likelihood")
            checkpoint.write(*training.to_arrays())
        run.restore_best()
        self._network.eval()
        return self

    def state(self) -> State:
        """The network's weights."""
        return to_arrays(self._network.state_dict())

    def restore(self, state: State) -> Self:
        """Take up fine-tuned weights."""
        self.place()
        self._network.load_state_dict(to_tensors(state))
        return self

    @property
    def _rates(self) -> tuple[float, float]:
        return self.learning_rate, self.new_layer_learning_rate

    def _optimiser(self, classifier: "_Classifier") -> torch.optim.Optimizer:
        groups = [{"params": list(layers.parameters())} for layers in (classifier.features, classifier.scores)]
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)

    def _width(self) -> int:
        """d, the size of the layer's output."""
        blank = torch.zeros(1, 3, self.crop, self.crop, dtype=torch.uint8, device=self._device)
        with torch.inference_mode():
            return self._network(blank).shape[1]

    def _checkpoint(self, train: LabelledImages, valid: LabelledImages | None, progress: Progress) -> Checkpoint:
        facts = {
            name: None
            if part is None
            else {"images": [file_sha256(path) for path in part.paths], "labels": part.labels}
            for name, part in {"train": train, "valid": valid}.items()
        }
        options = asdict(self) | {"weights": file_sha256(self.weights_file)}
        return Checkpoint.of(progress, "fine-tuning", self._device.type, options=options, **facts)

    def _learn(
        self,
        run: BestEpoch,
        optimiser: torch.optim.Optimizer,
        train: LabelledImages,
        loss: "_Loss",
        workers: int,
        progress: Progress,
        name: str,
    ) -> float:
        """One pass over the train part; the mean loss."""
        crop = Compose([Resize(self.resize), RandomCrop(self.crop), RandomHorizontalFlip(), PILToTensor()])
        # An image's crop is drawn from a seed of its own, and so does not depend on who decodes it.
        images = _Images(train, crop, seed=f"{self.seed} {run.epoch}")
        loader = DataLoader(
            images,
            self.images_a_step,
            shuffle=True,
            generator=run.generator,
            **_decoders(workers),
            # A step of one image has no variance for batch normalisation.
            drop_last=len(train) > self.images_a_step and len(train) % self.images_a_step == 1,
        )
        run.network.train()
        total, count = 0.0, 0
        for pixels, labels in progress.track(loader, name, len(loader), " batches"):
            value = loss(run.network(pixels.to(self._device)), labels.to(self._device))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            total, count = total + value.item() * len(labels), count + len(labels)
        return total / count

    def _score(self, classifier: "_Classifier", valid: LabelledImages, loss: "_Loss", workers: int) -> float:
        """The mean loss over the valid part."""
        images = _Images(valid, lambda image: self.prepare(image)[-1])  # the centre, also of five crops
        loader = DataLoader(images, self.batch_size, generator=torch.Generator(), **_decoders(workers))
        classifier.eval()
        with torch.inference_mode():
            losses = [
                loss(classifier(pixels.to(self._device)), labels.to(self._device)).item() * len(labels)
                for pixels, labels in loader
            ]
        return sum(losses) / len(valid)


class _Classifier(nn.Module):
    def __init__(self, features: LayerOutput, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.features = features
        self.scores = nn.Linear(width, classes)
        nn.init.normal_(self.scores.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.scores.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.features(x))


_Loss = Callable[[Tensor, Tensor], Tensor]


def _softmax_loss(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores, labels.argmax(dim=1))


def _logistic_loss(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(scores, labels)


def _decoders(workers: int) -> dict[str, Any]:
    """Processes that decode images beside the one that computes."""
    return {"num_workers": workers, "multiprocessing_context": "fork"} if workers > 1 else {}


def _number(seed: str) -> int:
    return int(sha256(seed.encode()).hexdigest()[:15], 16)


class _Images(Dataset):
    """Decoded images with their labels (c,) float32; with a `seed`, what is random in `transform` is drawn from it."""

    def __init__(self, part: LabelledImages, transform: Callable[[Any], Tensor], seed: str | None = None) -> None:
        self.part, self.transform, self.seed = part, transform, seed

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = load_rgb(self.part.paths[index])
        with torch.random.fork_rng(devices=[], enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(_number(f"{self.seed} {index}"))
            pixels = self.transform(image)
        return pixels, torch.as_tensor(self.part.labels[index], dtype=torch.float32)
