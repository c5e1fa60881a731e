"""Files with changed bytes end in one message, or are read: never in a traceback."""

import numpy as np
from published_sets import read, write_xpresso

from genexp.errors import UserError

CHANGES = 300


def test_changed_bytes_end_in_one_message(tmp_path):
    def change(_, arrays):
        arrays["promoter"] = (arrays["promoter"], {"chunks": (2, 40, 4), "compression": "gzip"})

    write_xpresso(tmp_path, change=change)
    path = tmp_path / "train.h5"
    whole, rng, outcomes = path.read_bytes(), np.random.default_rng(0), {"read": 0, "refused": 0}
    for _ in range(CHANGES):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 6)):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            read(tmp_path)
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused"] += "hint: " in str(error)
    assert min(outcomes.values()) > 40
    assert sum(outcomes.values()) == CHANGES
