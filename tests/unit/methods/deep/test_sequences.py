import numpy as np
import pytest
import torch

from cmr import rows
from cmr.methods.base import NotApplicableError
from cmr.methods.deep.inputs import Side
from cmr.methods.deep.sequences import WordSequences, words_first
from tests.unit.methods.deep.made import seeded

LSTM_WIDTH, KERNELS = 5, 7


def vectors(v=12, d=4):
    return np.random.default_rng(0).normal(size=(v, d)).astype(np.float32)


def texts(n=9, length=6, words=12, seed=1):
    """Texts of one word to `length` words, each length at least once."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, words, size=(n, length))
    numbers[np.arange(length) > np.arange(n)[:, None] % length] = 0
    return numbers.astype(np.int32)


def built(kernel_width=3, seed=0, prepared=True):
    own = WordSequences(
        Side("tokens", (6,), arrays={"word_vectors": vectors()}), LSTM_WIDTH, KERNELS, kernel_width, seeded(seed)
    )
    if prepared:
        own.prepare(texts())
    return own


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def states_by_hand(weights, words, suffix):
    """An LSTM (Hochreiter & Schmidhuber 1997, with forget gates), one word after the other: (l, d) -> (l, h)."""
    w_x, w_h, b_x, b_h = (
        weights[f"lstm.{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden, cell, states = np.zeros(LSTM_WIDTH), np.zeros(LSTM_WIDTH), []
    for x in words:
        i, f, g, o = np.split(w_x @ x + b_x + w_h @ hidden + b_h, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def pooled_by_hand(own, words):
    """What becomes of one text's word vectors (l, d): one loop a step, no padding anywhere."""
    weights = {name: value.detach().double().numpy() for name, value in own.state_dict().items()}
    words = np.clip((words - weights["scale.mean"]) / weights["scale.scale"], -5, 5)
    forward = states_by_hand(weights, words, "")
    backward = states_by_hand(weights, words[::-1], "_reverse")[::-1]
    states = np.concatenate([forward, backward], axis=1)
    w, b = weights["convolution.weight"], weights["convolution.bias"]
    w = w.reshape(own.kernel_width, 2 * LSTM_WIDTH, KERNELS)
    values = np.tile(b, (len(states), 1))
    for t in range(len(states)):
        for k in range(own.kernel_width):
            place = t + k - (own.kernel_width - 1) // 2
            if 0 <= place < len(states):
                values[t] += states[place] @ w[k]
    return np.maximum(values, 0).max(axis=0)


@pytest.mark.parametrize("kernel_width", [1, 2, 3, 4, 9])
def test_a_text_becomes_what_loops_over_its_words_alone_compute(kernel_width):
    own = built(kernel_width).double()
    torch.nn.init.uniform_(own.convolution.bias, -0.3, 0.3, generator=seeded())
    table = own.pretrained.detach().numpy()
    found = own(torch.from_numpy(texts())).detach().numpy()
    expected = [pooled_by_hand(own, table[row[row > 0]]) for row in texts()]
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert found.shape == (9, KERNELS) and (found > 0).mean() > 0.3


@pytest.mark.parametrize("padding", [0, -1])
@pytest.mark.parametrize("where", ["after", "before", "between"])
def test_padding_changes_neither_output_nor_gradients(padding, where):
    own, numbers = built().double(), torch.from_numpy(texts())
    nothing = torch.full_like(numbers, padding)
    padded = torch.where(numbers == 0, nothing, numbers)
    padded = {
        "after": torch.cat([padded, nothing], dim=1),
        "before": torch.cat([nothing, padded], dim=1),
        "between": torch.stack([padded, nothing], dim=2).flatten(1),
    }[where]
    results = []
    for x in (numbers, padded):
        own.zero_grad()
        output = own(x)
        output.square().sum().backward()
        results.append((output, [parameter.grad.clone() for parameter in own.parameters()]))
    (one, gradients), (other, others) = results
    torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    for gradient, again in zip(gradients, others, strict=True):
        assert gradient.any()
        torch.testing.assert_close(gradient, again, rtol=0, atol=1e-13)
    assert not own.pretrained.grad[0].any()  # what stands for no word is not trained


def test_a_text_without_words_gives_zeros_and_leaves_the_others_alone():
    own, numbers = built(), torch.from_numpy(texts())
    torch.nn.init.ones_(own.convolution.bias)  # a kernel that stood anywhere would say so
    expected = own(numbers)
    for empty in (0, -3):
        among = own(torch.cat([torch.full((1, 6), empty, dtype=torch.int32), numbers]))
        assert not among[0].any()
        torch.testing.assert_close(among[1:], expected)
    alone = own(torch.zeros(2, 6, dtype=torch.int32))
    assert alone.shape == (2, KERNELS) and not alone.any()
    alone.sum().backward()
    assert not any(parameter.grad.any() for parameter in own.parameters() if parameter.grad is not None)


def test_the_order_of_words_matters():
    own, numbers = built(), torch.tensor([[3, 5, 7, 9, 0, 0]], dtype=torch.int32)
    other = torch.tensor([[5, 3, 9, 7, 0, 0]], dtype=torch.int32)
    assert (own(numbers) - own(other)).abs().max() > 1e-2


def test_words_come_first_in_their_order():
    x = torch.tensor([[0, 4, -1, 2, 9], [1, 0, 0, 0, 3], [0, 0, 0, -2, 0]], dtype=torch.int32)
    numbers, present = words_first(x)
    assert numbers.tolist() == [[4, 2, 9, 0, 0], [1, 3, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert present.sum(-1).tolist() == [3, 2, 0] and numbers.dtype == torch.int64


def test_vectors_are_z_scored_by_the_words_of_the_train_texts(monkeypatch):
    numbers = np.array([[1, 3, 3, 0], [5, 0, 0, -1], [3, 5, 8, 0]], np.int32)
    own, whole = built(prepared=False), built(prepared=False)
    whole.prepare(numbers)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 4)  # a text a block
    own.prepare(numbers)
    occurring = vectors()[[1, 3, 5, 8]].astype(np.float64)
    for found in (own, whole):
        np.testing.assert_allclose(found.scale.mean, occurring.mean(axis=0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.scale.scale, occurring.std(axis=0), rtol=1e-5)


def test_random_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = built()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again, other = built(), built(seed=1)
    for name, value in one.named_parameters():
        assert torch.equal(value, dict(again.named_parameters())[name]), name
        if name not in ("pretrained", "convolution.bias"):
            assert not torch.equal(value, dict(other.named_parameters())[name]), name
    assert torch.equal(one.pretrained, torch.from_numpy(vectors()))


def test_half_precision_leaves_it_in_float32():
    own, numbers = built(), torch.from_numpy(texts())
    expected = own(numbers)
    with torch.autocast("cpu", torch.bfloat16):
        found = own(numbers)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_a_view_without_vectors_of_words_is_refused():
    with pytest.raises(NotApplicableError, match="with a matrix of word vectors, but this view has none"):
        WordSequences(Side("tokens", (6,)), 4, 4, 3, seeded())
