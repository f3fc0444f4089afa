"""Restricted Boltzmann machines and stacks of them, the first layers of the methods of 2011 to 2017."""
