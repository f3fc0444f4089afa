"""How torch is to compute: what the configuration says of it, without importing torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Compute:
    """Passed to whatever may compute with torch; closed forms ignore it.

    Parameters
    ----------
    device : `auto`, `cpu`, `cuda` or `cuda:<number>`, see `cmr.device.resolve_device`.
    mixed_precision : products in bfloat16 where `torch.autocast` finds that safe.
    compile : let `torch.compile` make kernels of a network's losses; needs a C++ compiler, and half a minute at first.
    """

    device: str = "cpu"
    mixed_precision: bool = False
    compile: bool = False


CPU = Compute()
