"""Cross-modal retrieval of images and texts: data sets, views, methods, evaluation and studies.

`from cmr import pairs, fit, score, curve` is for notebooks: any method on arrays of one's own, see `cmr.notebook`.
"""

import lazy_loader

# By strings, and imported when they are first asked for: every module of the library imports this package, so that an
# import here would be one of everything by everything, and an edit anywhere would remake all results.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"notebook": ["curve", "fit", "pairs", "score"]}
)
