"""Networks of one architecture that train in one go: their parameters lie in common tensors, one after the other.

A GPU, or a processor that small matrices leave idle, computes several seeds in little more time than one. Each
network's own parameters are views of the common ones, so that it can be evaluated and saved alone at any time; products
of batches may round otherwise than those of matrices, and so results agree with those alone to float32's precision.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from cmr.methods.deep.layers import Random
from cmr.methods.deep.network import Batch, TrainableSpace


class Together:
    """One network, or several as one.

    Attributes
    ----------
    networks : the single ones.
    parameters : what the optimiser is to change: a network's own, or the common tensors, by name; not those that
        require no gradient.
    """

    def __init__(self, networks: Sequence[TrainableSpace]) -> None:
        self.networks = list(networks)
        self.parameters: dict[str, Tensor] = {
            name: parameter for name, parameter in networks[0].named_parameters() if parameter.requires_grad
        }
        self._common: dict[str, Tensor] = {}
        if len(networks) > 1:
            self._share()

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """`TrainableSpace.losses`: scalars of one network, (s,) of s networks."""
        if not self._common:
            return self.networks[0](batch, progress)
        return functional_call(self.networks[0], self._common, (batch, progress))

    def gradient_norms(self) -> Tensor:
        """(s,): of all parameters of each network."""
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        first = (len(self.networks), -1)
        return torch.stack([gradient.reshape(first).square().sum(1) for gradient in gradients]).sum(0).sqrt()

    def clip_gradients(self, largest: float) -> None:
        """Scale each network's gradient down to this norm where it is larger."""
        factors = (largest / (self.gradient_norms() + 1e-6)).clamp(max=1.0)
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                alone = len(self.networks) == 1
                parameter.grad.mul_(factors if alone else factors.view(-1, *[1] * (parameter.dim() - 1)))

    def _share(self) -> None:
        """Move the parameters and buffers of all networks into common tensors."""
        first = self.networks[0]
        for name in [*dict(first.named_parameters()), *dict(first.named_buffers())]:
            owners = [_owner(network, name) for network in self.networks]
            own = [getattr(module, attribute).detach() for module, attribute in owners]
            common = torch.stack(own)
            for (module, attribute), slice_ in zip(owners, common, strict=True):
                getattr(module, attribute).data = slice_
            if common.dim() < 3:  # vectors and numbers stand beside batches (s, b, d)
                common = common.view(len(common), 1, -1)
            self._common[name] = common.requires_grad_(name in self.parameters)
        self.parameters = {name: self._common[name] for name in self.parameters}
        peers = [[layer for layer in network.modules() if isinstance(layer, Random)] for network in self.networks]
        for layers in zip(*peers, strict=True):
            layers[0].generators = [layer.generators[0] for layer in layers]


def _owner(network: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str]:
    path, _, attribute = name.rpartition(".")
    return network.get_submodule(path), attribute
