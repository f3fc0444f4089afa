"""What tests of kernel methods share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """x'z of standardised rows, of which a kernel method is its linear method."""

    def squared_unit(self, landmarks):
        return 1.0

    def __call__(self, x, z):
        return x @ z.T
