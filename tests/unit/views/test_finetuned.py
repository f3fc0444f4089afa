"""Fine-tuning learns the train part's classes, keeps the best epoch, and goes on after a kill."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cmr.datasets.images import load_rgb
from cmr.errors import UserError
from cmr.progress import Progress
from cmr.views.base import LabelledImages
from cmr.views.image import finetuned
from cmr.views.image.finetuned import FineTunedLayer


class Small(nn.Module):
    """A convolution, batch normalisation and dropout: whatever needs care in training."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.score = nn.Linear(8, 2)

    def forward(self, x):
        return self.score(self.pool(self.features(x)).flatten(1))


def write_images(folder, colours):
    """Noisy pictures of two colours, and their classes."""
    rng = np.random.default_rng(0)
    paths = []
    for i, colour in enumerate(colours):
        pixels = rng.normal(100, 40, (40, 50, 3))
        pixels[..., colour] += 40
        paths.append(folder / f"{len(list(folder.iterdir()))}-{i}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return LabelledImages(paths, np.eye(2, dtype=bool)[list(colours)])


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return write_images(folder, [0, 1] * 12 + [0]), write_images(folder, [0, 1] * 4)


def view_of(tmp_path, **options):
    torch.manual_seed(0)
    if not (tmp_path / "small.pth").exists():
        torch.save(Small().state_dict(), tmp_path / "small.pth")
    options = {"epochs": 4, "images_a_step": 8, "learning_rate": 0.05, "new_layer_learning_rate": 0.5} | options
    return FineTunedLayer(
        architecture=f"{__name__}.Small", layer="pool", weights=tmp_path / "small.pth", resize=36, crop=32, **options
    )


def features_of(view, part):
    return view.features([load_rgb(path) for path in part.paths])


def separation(features, labels):
    """Distance between the two classes' means, in standard deviations within a class."""
    first, second = (features[labels[:, c]] for c in (0, 1))
    return np.linalg.norm(first.mean(0) - second.mean(0)) / np.sqrt(first.var(0).sum() + second.var(0).sum())


def test_features_separate_classes_better_than_before(tmp_path, parts):
    train, valid = parts
    before = separation(features_of(view_of(tmp_path), valid), valid.labels)
    after = separation(features_of(view_of(tmp_path).fit(train, valid), valid), valid.labels)
    assert after > 1.5 * before


def test_weights_are_the_same_for_any_number_of_workers(tmp_path, parts):
    alone, several = (view_of(tmp_path, epochs=2).fit(*parts, workers=workers).state() for workers in (1, 2))
    for name, value in alone.items():
        np.testing.assert_array_equal(value, several[name])


def test_weights_do_not_depend_on_the_number_of_cores(tmp_path, parts):
    threads = torch.get_num_threads()
    states = []
    for count in (1, 3):
        torch.set_num_threads(count)
        states.append(view_of(tmp_path, epochs=1).fit(*parts).state())
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])


def test_learning_rates_fall_to_a_tenth_after_half_of_the_epochs(tmp_path, parts, monkeypatch):
    rates = []

    def learn(self, run, optimiser, *rest):
        rates.append([group["lr"] for group in optimiser.param_groups])
        return 1.0

    monkeypatch.setattr(FineTunedLayer, "_learn", learn)
    view_of(tmp_path, epochs=5, learning_rate=0.5, new_layer_learning_rate=2.0).fit(parts[0])
    np.testing.assert_allclose(rates, [[0.5, 2.0]] * 3 + [[0.05, 0.2]] * 2)


@pytest.mark.parametrize(("several", "name"), [(False, "_softmax_loss"), (True, "_logistic_loss")])
def test_loss_is_that_of_exclusive_classes_where_they_are(tmp_path, parts, monkeypatch, several, name):
    train, valid = parts
    labels = train.labels | (several and np.arange(len(train)) == 0)[..., None] if several else train.labels
    used = []
    monkeypatch.setattr(FineTunedLayer, "_learn", lambda self, run, descent, part, loss, *_: used.append(loss) or 1.0)
    view_of(tmp_path, epochs=1).fit(LabelledImages(train.paths, labels), valid)
    assert [loss.__name__ for loss in used] == [name]


def test_work_of_other_options_or_images_is_not_continued(tmp_path, parts):
    train, valid = parts
    progress = Progress(checkpoints=tmp_path / "checkpoints", quiet=True)
    view_of(tmp_path, epochs=1).fit(train, valid, progress=progress)
    view_of(tmp_path, epochs=1, momentum=0.5).fit(train, valid, progress=progress)
    fewer = LabelledImages(train.paths[:-1], train.labels[:-1])
    view_of(tmp_path, epochs=1).fit(fewer, valid, progress=progress)
    view_of(tmp_path, epochs=1).fit(LabelledImages(train.paths, ~train.labels), valid, progress=progress)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 4


def test_features_after_training_without_a_valid_part_are_those_of_evaluation(tmp_path, parts):
    fitted = view_of(tmp_path, epochs=1).fit(parts[0])
    restored = view_of(tmp_path).restore(fitted.state())
    np.testing.assert_array_equal(features_of(fitted, parts[1]), features_of(restored, parts[1]))


def test_valid_part_is_scored_by_the_centre_of_five_crops(tmp_path, parts):
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return torch.zeros(len(x), 2)

    view_of(tmp_path, crops="five").place()._score(Spy(), parts[1], lambda *_: torch.zeros(()), workers=1)
    centre = view_of(tmp_path).prepare(load_rgb(parts[1].paths[0]))[0]
    torch.testing.assert_close(seen[0][0], centre)


def test_training_images_are_cut_out_and_mirrored_at_random(tmp_path, monkeypatch):
    """Twenty pictures of one slope of grey, from dark on the left to bright on the right."""
    slope = np.tile(np.arange(50, dtype=np.uint8)[None, :, None] * 5, (40, 1, 3))
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for path in paths:
        Image.fromarray(slope).save(path)
    seen, forward = [], finetuned._Classifier.forward
    monkeypatch.setattr(finetuned._Classifier, "forward", lambda self, x: seen.append(x.clone()) or forward(self, x))
    view_of(tmp_path, epochs=1).fit(LabelledImages(paths, np.eye(2, dtype=bool)[np.arange(20) % 2]))
    columns = torch.cat(seen).float().mean(dim=(1, 2))
    rising = columns[:, -1] > columns[:, 0]
    assert 3 < rising.sum() < 17
    assert len(columns[rising, 0].unique()) > 1


def test_one_image_is_too_few(tmp_path, parts):
    with pytest.raises(UserError, match="needs two images"):
        view_of(tmp_path).fit(LabelledImages(parts[0].paths[:1], parts[0].labels[:1]))


def test_state_restores_the_features(tmp_path, parts):
    fitted = view_of(tmp_path, epochs=1).fit(*parts)
    restored = view_of(tmp_path).restore(fitted.state())
    np.testing.assert_array_equal(features_of(restored, parts[1]), features_of(fitted, parts[1]))


def test_killed_fine_tuning_goes_on_to_the_same_weights(tmp_path, parts, monkeypatch):
    whole = view_of(tmp_path).fit(*parts).state()
    progress = Progress(checkpoints=tmp_path / "checkpoints", quiet=True)
    learn, calls = FineTunedLayer._learn, []

    def killed(self, training, *rest):
        calls.append(training.epoch)
        if calls == [0, 1, 2]:
            raise KeyboardInterrupt
        return learn(self, training, *rest)

    monkeypatch.setattr(FineTunedLayer, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        view_of(tmp_path).fit(*parts, progress=progress)
    resumed = view_of(tmp_path).fit(*parts, progress=progress).state()
    assert calls == [0, 1, 2, 2, 3]
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name])


def test_best_epoch_of_the_valid_part_is_kept(tmp_path, parts, monkeypatch):
    train, valid = parts
    scores, states = iter([0.5, 0.1, 0.7, 0.6]), []

    def score(self, classifier, *rest):
        states.append(self.state())
        return next(scores)

    monkeypatch.setattr(FineTunedLayer, "_score", score)
    state = view_of(tmp_path, patience=2).fit(train, valid).state()
    assert len(states) == 4  # two epochs after the best one
    for name, value in states[1].items():
        np.testing.assert_array_equal(state[name], value)


def test_several_labels_an_image_are_learnt_too(tmp_path, parts):
    train, valid = parts
    both = LabelledImages(train.paths, train.labels | (np.arange(len(train)) < 3)[:, None])
    assert np.isfinite(features_of(view_of(tmp_path, epochs=1).fit(both, valid), valid)).all()


def test_data_set_without_classes_is_refused(tmp_path, parts):
    bare = LabelledImages(parts[0].paths, np.zeros((len(parts[0]), 0), dtype=bool))
    with pytest.raises(UserError, match="fine-tuning needs classes"):
        view_of(tmp_path).fit(bare)


def test_divergence_names_the_epoch(tmp_path, parts):
    with pytest.raises(UserError, match="fine-tuning diverged in epoch 1 of 4: lower learning_rate"):
        view_of(tmp_path, learning_rate=1e20, new_layer_learning_rate=1e20).fit(*parts)


def test_random_sources_of_others_are_left_alone(tmp_path, parts):
    torch.manual_seed(5)
    expected = torch.rand(3)
    view = view_of(tmp_path, epochs=1)
    torch.manual_seed(5)
    view.fit(*parts)
    torch.testing.assert_close(torch.rand(3), expected)
