"""Tables of the documentation that the registries decide: written from them, so that they cannot drift."""
