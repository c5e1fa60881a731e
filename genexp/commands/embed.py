"""``genexp embed``: k-mer vectors by Word2Vec from scratch, and the embedded dataset."""

from __future__ import annotations

from genexp import console
from genexp.api.embedding import EMBED, Config, check, embed
from genexp.config.compose import Composed

ORDER = 40

EXAMPLES = (
    ("genexp embed out=embedding", "vectors and embedded promoters of the demo genes"),
    ("genexp embed out=embedding dataset=xpresso dataset.root=DIR promoters=all", "of all Xpresso promoters"),
    ("genexp embed out=v4 k=4 dimension=100 write_dataset=false dataset.root=DIR", "vectors only"),
)

IMPLIED = EMBED.implied

__all__ = ["EXAMPLES", "IMPLIED", "ORDER", "Config", "check", "run"]


def run(composed: Composed[Config]) -> None:
    """Fit, write, and list the files."""
    for path in sorted(embed(check(composed.config)).iterdir()):
        console.say(f"{path} ({path.stat().st_size / 1024:,.0f} KiB)")
