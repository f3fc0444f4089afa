import numpy as np
import pytest
import torch

from cmr.methods.base import NotApplicableError, Pairs
from cmr.methods.boltzmann.contrastive_divergence import ContrastiveDivergence
from cmr.methods.boltzmann.rbm import GaussianRBM, ReplicatedSoftmaxRBM
from cmr.methods.boltzmann.stack import Stack, fit_stack
from cmr.methods.deep.corr_ae import CorrAE
from cmr.progress import Progress
from tests.unit.methods.boltzmann.made import CPU, clustered, seeded, with_noise


def test_a_stack_over_counts_does_not_see_how_long_a_document_is():
    counts = clustered(ReplicatedSoftmaxRBM)
    stack = Stack.of(20, (8, 4), counts=True)
    stack.fit(counts.numpy(), epochs=60, batch_size=20, generator=seeded())
    outputs = stack(counts)
    assert outputs.shape == (200, 4)
    torch.testing.assert_close(stack(3 * counts), outputs)
    assert outputs.std(0).max() > 0.01


@pytest.mark.parametrize("widths", [(8,), (8, 4), (8, 4, 5)])
def test_each_layer_is_trained_on_the_probabilities_of_the_one_below(widths, monkeypatch):
    seen, original = [], ContrastiveDivergence.fit
    monkeypatch.setattr(
        ContrastiveDivergence, "fit", lambda *arguments: (seen.append(arguments[2].clone()), original(*arguments))[1]
    )
    x = 50 + 10 * clustered(GaussianRBM).numpy()
    stack = Stack.of(20, widths, counts=False)
    history = stack.fit(x, epochs=3, batch_size=50, generator=seeded())
    torch.testing.assert_close(seen[0], torch.from_numpy((x - x.mean(0)) / x.std(0)).clamp(-5, 5), rtol=1e-3, atol=1e-3)
    inputs = seen[0]
    for own, rbm in zip(seen, stack.rbms, strict=True):
        torch.testing.assert_close(own, inputs)
        inputs = rbm(inputs)
    torch.testing.assert_close(stack(torch.from_numpy(x)), inputs)
    assert inputs.shape == (200, widths[-1]) and stack.width == widths[-1]
    assert {name: len(errors) for name, errors in history.items()} == {f"rbm_{i + 1}": 3 for i in range(len(widths))}


@pytest.mark.parametrize("counts", [False, True])
def test_generation_goes_down_by_the_visible_biases(counts):
    stack = with_noise(Stack.of(6, (5, 3), counts=counts), 0.5)
    first, second = stack.rbms
    h = torch.rand(7, 3, generator=seeded())
    down = torch.sigmoid(h @ second.weights.T + second.visible_bias) @ first.weights.T + first.visible_bias
    generated = stack.generate(h)
    torch.testing.assert_close(generated, 100 * down.softmax(1) if counts else down)
    if counts:
        torch.testing.assert_close(generated.sum(1), torch.full((7,), 100.0))


def stack_of(x, progress, **other):
    settings = {"widths": (8, 4), "counts": False, "epochs": 2, "batch_size": 50, "seed": 0, "purpose": "images"}
    return fit_stack(x, **settings | other, device=CPU, progress=progress)


def test_a_stack_of_the_same_data_and_settings_is_trained_once(tmp_path, monkeypatch):
    progress, x = Progress(stages=tmp_path, quiet=True), clustered(GaussianRBM).numpy()
    trained, original = [], Stack.fit
    monkeypatch.setattr(Stack, "fit", lambda *arguments: (trained.append(1), original(*arguments))[1])
    (first, history), (again, same_history) = stack_of(x, progress), stack_of(x, progress)
    assert len(trained) == 1
    assert same_history == history
    values = torch.from_numpy(x)
    assert torch.equal(first(values), again(values))
    others = [{"epochs": 3}, {"seed": 1}, {"widths": (8, 5)}, {"batch_size": 40}, {"purpose": "texts"}, {"x": x + 1}]
    for other in others:
        stack_of(progress=progress, **{"x": x} | other)
    assert len(trained) == 1 + len(others)


def test_the_same_numbers_as_features_and_as_counts_are_two_stacks(tmp_path):
    progress, x = Progress(stages=tmp_path, quiet=True), clustered(ReplicatedSoftmaxRBM).numpy()
    for counts in (False, True):
        kept, alone = (
            stack_of(x, of, counts=counts)[0](torch.from_numpy(x)) for of in (progress, Progress(quiet=True))
        )
        assert torch.equal(kept, alone)
    assert len(list(tmp_path.glob("*.h5"))) == 2


def test_another_seed_or_purpose_gives_another_stack():
    x = clustered(GaussianRBM).numpy()

    def weights(**other):
        stack, _ = stack_of(x, Progress(quiet=True), epochs=1, **other)
        return torch.cat([rbm.weights.flatten() for rbm in stack.rbms])

    first = weights()
    assert torch.equal(first, weights())
    assert not torch.equal(first, weights(seed=1))
    assert not torch.equal(first, weights(purpose="texts"))


@pytest.mark.parametrize("side", ["images", "texts"])
def test_stacks_refuse_what_is_no_vector_by_side(side):
    rows = np.ones((6, 4), dtype=np.float32)
    kinds = {f"{side[:-1]}_kind": "tokens"}
    train = Pairs(rows, rows, np.eye(2, dtype=bool)[np.arange(6) % 2], **kinds)
    with pytest.raises(NotApplicableError, match=f"corr_ae: it learns from vectors, but the {side} are tokens"):
        CorrAE().fit(train)
