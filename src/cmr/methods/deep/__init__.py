"""Methods that are trained by gradient descent: one trainer, and a network with its losses a method."""
