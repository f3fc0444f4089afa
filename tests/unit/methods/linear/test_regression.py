"""What methods that regress onto labels refuse."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from cmr.errors import UserError
from cmr.methods.base import Pairs
from cmr.methods.linear.jfssl import JFSSL
from cmr.methods.linear.jrl import JRL
from cmr.methods.linear.lcfs import LCFS
from cmr.methods.linear.lgcfl import LGCFL
from cmr.methods.linear.mdcr import MDCR
from cmr.methods.linear.moments import moments
from cmr.methods.linear.regression import label_variation, require_told_labels
from cmr.methods.linear.sm import SM

COLUMNS = hadamard(64).astype(float)  # those but the first have mean zero, and all are uncorrelated
CLASSES = COLUMNS[:, 1] > 0
LABELS = np.column_stack([CLASSES, ~CLASSES])
TELLING = 3.0 + COLUMNS[:, 1:9]
SILENT = COLUMNS[:, 20:28] + 1e-12 * np.random.default_rng(0).normal(size=(64, 8))


def told(images, texts):
    train = Pairs(images, texts, LABELS)
    require_told_labels(train.once(moments), label_variation(train, "it"), "it")


def test_views_that_tell_the_least_of_the_labels_pass():
    faint = SILENT + 1e-6 * COLUMNS[:, 1:2]
    told(TELLING, faint)
    told(faint, TELLING)


@pytest.mark.parametrize("name, views", [("images", (SILENT, TELLING)), ("texts", (TELLING, SILENT))])
def test_a_view_that_tells_nothing_of_the_labels_is_named(name, views):
    with pytest.raises(UserError, match=f"it: the features of the {name} are uncorrelated .* take other features"):
        told(*views)


@pytest.mark.parametrize(
    "name, method",
    [
        ("lcfs", LCFS()),
        ("lgcfl", LGCFL()),
        ("mdcr", MDCR()),
        ("jfssl", JFSSL()),
        ("jrl", JRL(neighbours=5, posterior_neighbours=5)),
        ("sm", SM()),
    ],
)
@pytest.mark.parametrize("views", [(SILENT, SILENT), (TELLING, SILENT)], ids=["both", "texts"])
def test_methods_refuse_such_views_in_their_own_name(name, method, views):
    with pytest.raises(UserError, match=f"^{name}: the features of the .* are uncorrelated with every class"):
        method.fit(Pairs(*views, LABELS))
