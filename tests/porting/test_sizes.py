"""A checkpoint of other blocks, or of another model, is refused rather than cut to fit."""

from __future__ import annotations

import checkpoints as other
import pytest
from loading import load, write

from genexp.errors import UserError


def test_blocks_that_the_checkpoint_was_not_trained_on(tmp_path):
    path = write(other.plain_xpresso(10_500, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="does not look as if it had block T"):
        load(path, "xpresso", "PT")
    assert load(path, "xpresso", "PT", widths=[8]).shapes.widths == {"T": 8}
    with pytest.raises(UserError, match="the weights do not fit the model"):
        load(path, "xpresso", "PHT")  # eight features are not half-lives and a factor or two
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "fc_net", "H")


def test_inputs_are_blocks_by_their_widths(tmp_path):
    path = write(other.plain_biolstm(210, 64, 181, 8), ".keras", tmp_path)
    assert load(path, "biolstm", "PHT").shapes.widths == {"H": 8, "T": 181}
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "biolstm", "PH")


def test_promoters_of_another_kind(tmp_path):
    embedded = write(other.plain_biolstm(210, 64, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="choose the model= that the checkpoint was made with"):
        load(embedded, "xpresso", "PH")
    bases = write(other.plain_xpresso(10_500, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="does not take the promoters"):
        load(bases, "transformer", "PH")


def test_a_width_that_goes_with_more_than_one_window(tmp_path):
    """50 rows more may be features or promoter, where nothing but weights is there."""
    path = write(other.plain_xpresso(10_500, 8 + 50), ".weights.h5", tmp_path)
    with pytest.raises(UserError, match="do not tell how much of the promoter"):
        load(path, "xpresso", "PHM")
    assert load(path, "xpresso", "PHM", window=[3_000, 13_500]).shapes.widths == {"H": 8, "M": 50}
