import shlex
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genexp.config.words import as_value, parse, with_quotes
from genexp.errors import UserError


def value_of(word):
    def plain(value):
        if isinstance(value, dict):
            return {getattr(key, "text", key): plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list) else getattr(value, "text", value)

    return plain(parse([word], {}, {}).overrides[0].value())


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("x=[Skin - Not Sun Exposed (Suprapubic)]", ["Skin - Not Sun Exposed (Suprapubic)"]),
        ("x=[A,Cells (EBV, old), b]", ["A", "Cells (EBV, old)", "b"]),
        (
            "x={gene: 5)regulatedName, factor: 2)regulatorName}",
            {"gene": "5)regulatedName", "factor": "2)regulatorName"},
        ),
        (
            "x={gene: Gene ID, samples: [S (1), it's, a: b]}",
            {"gene": "Gene ID", "samples": ["S (1)", "it's", "a: b"]},
        ),
        ("x={Skin (leg): [S1, S2]}", {"Skin (leg)": ["S1", "S2"]}),
        ("x=['a b', c (d)]", ["a b", "c (d)"]),
        ("x=[1, a (b)]", [1, "a (b)"]),
        ("x=[0,2000]", [0, 2000]),
        ("x=[S1, ..., S9]", ["S1", "...", "S9"]),
    ],
)
def test_names_in_lists_and_groups_need_no_quotes_of_hydras_own(word, value):
    assert value_of(word) == value


@pytest.mark.parametrize("word", ["x=[a,b", "x={a", "x=[a, 'b]"])
def test_what_cannot_be_understood_is_refused(word):
    with pytest.raises(UserError, match="no valid key=value"):
        parse([word], {}, {})


# A line end or a dollar sign in the heading of a column has a meaning of its own, in YAML or to OmegaConf.
NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="$"), min_size=1, max_size=9)


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), NAMES)
def test_names_come_back_from_a_command_as_it_is_pasted(names, gene):
    word = "x=" + as_value({"gene": gene, "samples": names})
    (pasted,) = shlex.split(shlex.quote(word))
    assert value_of(pasted) == {"gene": gene, "samples": names}


@settings(max_examples=200, deadline=None)
@given(st.text("a ,:()[]{}'\"\\5", max_size=12))
def test_any_list_is_read_or_refused(text):
    for word in (f"x=[{text}]", f"x={{{text}}}"):
        with_quotes(word[2:])
        with suppress(UserError):
            parse([word], {}, {})
