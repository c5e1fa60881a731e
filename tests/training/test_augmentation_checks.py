"""Augmentation is refused where the promoters do not allow it."""

import pytest

from genexp.api import compose
from genexp.dataset.description import DatasetDescription
from genexp.errors import UserError
from genexp.models import InputShapes
from genexp.training.augmentation import check_augmentation

BASES, EMBEDDED, NONE = InputShapes((80,)), InputShapes((4, 8), {}, "embedded"), InputShapes(None, {"T": 3}, None)


def check(shapes, tss, *words):
    found = DatasetDescription(source="", layout="", genes={}, tss=tss)
    check_augmentation(compose(*words).training, shapes, found)


@pytest.mark.parametrize(
    ("key", "shapes", "tss", "what"),
    [
        ("shift=5", NONE, None, "no promoter"),
        ("shift=5", EMBEDDED, None, "cannot be shifted"),
        ("shift=80", BASES, 40, "leaves nothing"),
        ("reverse_complement=true", EMBEDDED, None, "cannot be shifted or reversed"),
        ("reverse_complement=true", BASES, 40, "have a strand"),
        ("both_strands=true", BASES, 40, "have a strand"),
        ("both_strands=true", NONE, None, "no promoter"),
    ],
)
def test_what_the_promoters_do_not_allow_is_refused(key, shapes, tss, what):
    with pytest.raises(UserError, match=what):
        check(shapes, tss, f"training.{key}")


def test_what_they_allow_is_not():
    check(BASES, 40, "training.shift=5")
    check(BASES, None, "training.shift=5", "training.reverse_complement=true", "training.both_strands=true")
    check(NONE, None, "training.label_noise=1")
