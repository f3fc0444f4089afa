"""Cross-modal retrieval of images and texts: data sets, views, methods, evaluation and studies."""
