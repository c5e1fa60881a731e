"""Which tests `pytest -m unit` runs."""

import pytest
from unit_rule import unit_tests


@pytest.mark.parametrize(
    ("line", "is_unit"),
    [
        ("from genexp.evaluation.metrics import r2", True),
        ("from genexp.training.optimizers import OPTIMIZERS", False),  # imports Keras in a function
        ("from genexp.dataset.batches import inference_batches", False),
        ("from genexp.evaluation.report import load_checkpoint", False),  # imports the module above
        ("from helper import something", False),
    ],
)
def test_imports_are_followed(tmp_path, line, is_unit):
    (tmp_path / "helper.py").write_text("import genexp.evaluation.report\n")
    file = tmp_path / "test_example.py"
    file.write_text(f"{line}\n\ndef test_it():\n    pass\n")
    assert bool(unit_tests(file)) == is_unit
