"""What methods share is trained once, is the same bit for bit, and is never stale."""

import logging
import threading
import time

import numpy as np
import pytest
import torch

from cmr import provenance
from cmr.methods.base import Pairs
from cmr.methods.deep.corr_ae import CorrAE
from cmr.methods.deep.layers import Linear
from cmr.methods.deep.stages import shared_stage
from cmr.progress import Progress

CPU = torch.device("cpu")


class Counted:
    """A stage that counts how often it is really trained; its weights are drawn anew each time."""

    def __init__(self, folder, seconds=0.0):
        self.progress, self.seconds, self.trained = Progress(stages=folder, quiet=True), seconds, 0

    def run(self, stage="layer", device=CPU, **facts):
        layer = Linear(3, 2, torch.Generator().manual_seed(self.trained))

        def fit():
            self.trained += 1
            time.sleep(self.seconds)
            with torch.no_grad():
                layer.weight.add_(self.trained)
            return {"error": [0.5, 1 / 3]}

        facts = {"x": np.ones((4, 3)), "seed": 0, "widths": (3, 2), **facts}
        history = shared_stage(layer, fit, stage=stage, device=device, progress=self.progress, **facts)
        return layer.weight.detach().clone(), history


def test_an_equal_stage_is_trained_once_and_taken_up_bit_for_bit(tmp_path):
    counted = Counted(tmp_path)
    first, history = counted.run()
    again, same_history = counted.run()
    assert counted.trained == 1
    assert torch.equal(first, again) and history == same_history == {"error": [0.5, 1 / 3]}


@pytest.mark.parametrize(
    "other", [{"x": np.zeros((4, 3))}, {"seed": 1}, {"widths": (3, 3)}, {"stage": "other"}, {"more": None}]
)
def test_a_stage_of_other_data_seed_or_settings_is_another(tmp_path, other):
    counted = Counted(tmp_path)
    counted.run()
    counted.run(**other)
    assert counted.trained == 2


def test_a_stage_of_another_device_or_another_torch_is_another(tmp_path, monkeypatch):
    counted = Counted(tmp_path)
    counted.run()
    counted.run(device=torch.device("cuda"))  # a name; the layer stays where it is
    assert counted.trained == 2
    monkeypatch.setattr(torch, "__version__", "0.1")
    counted.run()
    assert counted.trained == 3


def test_a_stage_whose_code_changed_is_trained_anew(tmp_path, monkeypatch):
    counted = Counted(tmp_path)
    counted.run()
    monkeypatch.setattr(provenance, "code_reached_from", lambda *modules: f"edited {modules}")
    counted.run()
    assert counted.trained == 2


def test_the_code_of_a_stage_is_that_of_its_module_and_of_what_this_imports(monkeypatch):
    before = provenance.code_reached_from("cmr.methods.boltzmann.stack")
    digests = provenance.file_sha256
    edited = {"value": ""}
    monkeypatch.setattr(
        provenance, "file_sha256", lambda path: "edited" if path.name == edited["value"] else digests(path)
    )
    for name, reached in (("stack.py", True), ("rbm.py", True), ("rows.py", True), ("acmr.py", False)):
        edited["value"] = name
        assert (provenance.code_reached_from("cmr.methods.boltzmann.stack") != before) == reached, name


def test_the_code_of_a_training_counts_beside_that_of_the_module(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr(provenance, "code_reached_from", lambda *modules: named.append(modules) or "code")
    Counted(tmp_path).run()
    assert named == [("cmr.methods.deep.layers", __name__)]


def test_without_a_folder_nothing_is_shared():
    counted = Counted(None)
    counted.run()
    counted.run()
    assert counted.trained == 2


def test_a_damaged_stage_is_reported_and_trained_anew(tmp_path, caplog):
    counted = Counted(tmp_path)
    counted.run()
    (path,) = tmp_path.glob("*.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        counted.run()
    assert counted.trained == 2
    (message,) = caplog.messages
    assert str(path) in message and message.endswith("the work starts anew")
    assert "run again" not in message  # there is nothing for the user to do


def test_of_two_that_need_a_stage_at_a_time_one_trains_and_the_other_waits(tmp_path):
    counted, weights = Counted(tmp_path, seconds=0.3), []
    threads = [threading.Thread(target=lambda: weights.append(counted.run()[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.trained == 1
    assert all(torch.equal(weights[0], other) for other in weights[1:])


def test_candidates_of_a_grid_share_their_stacks_and_get_the_model_that_they_would_alone(tmp_path):
    rng = np.random.default_rng(0)
    images, texts = (rng.normal(size=(30, d)).astype(np.float32) for d in (6, 5))
    pairs = Pairs(images, texts, np.eye(3, dtype=bool)[np.arange(30) % 3])
    small = {"image_stack_widths": (4, 3), "text_stack_widths": (4, 3), "stack_epochs": 2, "epochs": 2}
    progress = Progress(stages=tmp_path, quiet=True)
    shared = [CorrAE(alpha=alpha, **small).fit(pairs, pairs, progress=progress) for alpha in (0.2, 0.8)]
    assert len(list(tmp_path.glob("*.h5"))) == 2  # one a modality
    alone = CorrAE(alpha=0.8, **small).fit(pairs, pairs)
    for name, array in alone.state().items():
        np.testing.assert_array_equal(shared[1].state()[name], array, err_msg=name)
    np.testing.assert_array_equal(
        shared[0].state()["network/text_stack.scale.mean"], shared[1].state()["network/text_stack.scale.mean"]
    )
