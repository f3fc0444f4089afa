"""Drawing: a module a family of figures; `cmr.figures` draws those that a study asks for."""
