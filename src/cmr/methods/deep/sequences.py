"""Networks that read texts word by word."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad, relu
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cmr.methods.deep.encoders import Encoder, drawing_from, word_vectors
from cmr.methods.deep.inputs import Side
from cmr.methods.deep.layers import Linear, Standardise
from cmr.rows import Rows, row_blocks


class WordSequences(Encoder):
    """A bidirectional LSTM over the words of a text, a convolution over time, and the largest value of each kernel.

    (b, l) numbers of words -> (b, kernels). The vectors of words begin as the view's, and are trained; they are
    z-scored by those that occur in the train texts. A kernel stands over each word in turn, and sees zeros where it
    reaches beyond the text. A number of 0 or below is no word and changes nothing, wherever it stands. A text without
    words gives zeros.

    Several seeds are not trained in one go: torch's LSTM computes a network at a time.

    Parameters
    ----------
    side : tokens, with a matrix `word_vectors` (V, d).
    lstm_width : h, units a direction.
    kernels, kernel_width : how many kernels, and over how many words each stands.
    generator : of random weights; they lie on its device.

    Raises
    ------
    NotApplicableError : there are no vectors of words.
    """

    together = False

    def __init__(
        self, side: Side, lstm_width: int, kernels: int, kernel_width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.width, self.kernel_width = kernels, kernel_width
        self.pretrained = word_vectors(side, generator)
        d = self.pretrained.shape[1]
        self.scale = Standardise(d).to(generator.device)
        with drawing_from(generator):
            self.lstm = nn.LSTM(d, lstm_width, batch_first=True, bidirectional=True, device=generator.device)
        self.convolution = Linear(kernel_width * 2 * lstm_width, kernels, generator)
        # torch.compile follows neither LSTMs nor the lengths of texts; the layers after this one are compiled. Not a
        # decorator, which would load the compiler for all networks.
        self.forward = torch.compiler.disable(self.forward)

    def prepare(self, x: Rows) -> None:
        seen = np.zeros(len(self.pretrained), dtype=bool)
        for _, numbers in row_blocks(x):
            seen[numbers[numbers > 0]] = True
        self.scale.fit(self.pretrained.detach().cpu().numpy()[seen])

    def forward(self, x: Tensor) -> Tensor:
        # An LSTM forgets what it has read where its sums are in half precision.
        with torch.autocast(x.device.type, enabled=False):
            return self._pooled(x)

    def _pooled(self, x: Tensor) -> Tensor:
        numbers, present = words_first(x)
        # An LSTM needs a first word; where there is none, the kernels stand nowhere.
        lengths = present.sum(-1).clamp(min=1).cpu()
        longest = int(lengths.max())
        numbers, present = numbers[:, :longest], present[:, :longest]
        vectors = self.scale(embedding(numbers, self.pretrained))
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        before = (self.kernel_width - 1) // 2
        states = pad(states, (0, 0, before, self.kernel_width - 1 - before))
        text, place = present.nonzero(as_tuple=True)
        windows = states[text[:, None], place[:, None] + torch.arange(self.kernel_width, device=x.device)]
        values = relu(self.convolution(windows.flatten(1)))
        # No value is below zero, so zeros take no part in the largest.
        return values.new_zeros(*present.shape, self.width).index_put((text, place), values).amax(1)


def words_first(x: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of words (b, l) with what is no word at the end, as int64, and which are words, bool."""
    order = (x <= 0).sort(stable=True).indices
    numbers = x.gather(-1, order).clamp(min=0).long()
    return numbers, numbers > 0
