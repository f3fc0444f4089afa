"""Methods on kernels, made linear by Nyström features."""
