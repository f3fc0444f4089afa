"""Stages that methods share: trained once for all that need the same, bit for bit.

A stage is named by the fingerprint of all that determines its weights: data, settings, seed, device, torch, and the
code that its module and its training reach by imports. So nothing stale is ever taken up, and the folder may be deleted
at any time.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from filelock import FileLock
from torch import nn

from cmr import provenance
from cmr.checkpoint import Checkpoint, to_arrays, to_tensors
from cmr.methods.base import History
from cmr.progress import Progress

log = logging.getLogger(__name__)


def shared_stage(
    module: nn.Module, fit: Callable[[], History], *, stage: str, device: torch.device, progress: Progress, **facts: Any
) -> History:
    """Train `module` in place by `fit`, or give it what an equal stage has learnt; returns the history of either.

    Parameters
    ----------
    stage : its name; part of the fingerprint.
    facts : data, settings and seed, see `provenance.fingerprint`: all that `fit` depends on.

    Of several processes that need one stage at a time, one trains it and the others wait.
    """
    if progress.stages is None:
        return fit()
    code = provenance.code_reached_from(type(module).__module__, fit.__module__)
    made_by = {"code": code, "torch": str(torch.__version__)}
    name = provenance.fingerprint(stage=stage, device=device.type, **made_by, **facts)
    progress.stages.mkdir(parents=True, exist_ok=True)
    kept = Checkpoint(progress.stages / f"{name}.h5")
    with FileLock(progress.stages / f"{name}.lock"):
        found = kept.read()
        if found is not None:
            log.info("%s: as trained before", stage)
            module.load_state_dict(to_tensors(found[0]))
            return found[1]["history"]
        history = fit()
        kept.write(to_arrays(module.state_dict()), {"history": history})
    return history
