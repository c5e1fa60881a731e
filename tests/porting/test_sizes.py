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
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "xpresso", "PHT")  # eight features are not half-lives and a factor or two
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "fc_net", "H")
    alone = write(other.plain_xpresso(10_500, 8), ".weights.h5", tmp_path)
    with pytest.raises(UserError, match="the weights do not fit the model"):
        load(alone, "xpresso", "PHT")


def test_blocks_by_their_widths(tmp_path):
    path = write(other.plain_biolstm(210, 64, 181, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="does not look as if it had block H"):
        load(path, "biolstm", "PHT")
    with pytest.raises(UserError, match="other inputs than these blocks"):
        load(path, "biolstm", "PH")


def test_promoters_of_another_kind(tmp_path):
    embedded = write(other.plain_biolstm(210, 64, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="not a model that genexp knows as xpresso"):
        load(embedded, "xpresso", "PH")
    bases = write(other.plain_xpresso(10_500, 8), ".keras", tmp_path)
    with pytest.raises(UserError, match="not a model that genexp knows as transformer"):
        load(bases, "transformer", "PH")
    with pytest.raises(UserError, match="a model with branches is none of the published"):
        load(bases, "kmer_net", "PH")


def test_widths_that_nothing_tells(tmp_path):
    """50 rows more may be features or promoter, where nothing but weights is there; the message names the keys."""
    path = write(other.plain_xpresso(10_500, 8 + 50), ".weights.h5", tmp_path)
    with pytest.raises(UserError, match=r"\(data\.window, widths, model\.pools\)"):
        load(path, "xpresso", "PHM")
    assert load(path, "xpresso", "PHM", widths=[8, 50]).shapes.widths == {"H": 8, "M": 50}
    alone = write(other.plain_xpresso(10_500, 177), ".weights.h5", tmp_path)
    with pytest.raises(UserError, match="do not tell how much of the promoter"):
        load(alone, "xpresso", "PT")
    assert load(alone, "xpresso", "PT", window=[3_000, 13_500]).shapes.widths == {"T": 177}
