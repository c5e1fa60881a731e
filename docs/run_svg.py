"""Draw docs/run.svg: what ``genexp train`` prints, on 80 columns. Usage: python docs/run_svg.py."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from genexp import cli, console

PICTURE = Path(__file__).with_name("run.svg").resolve()


def main() -> None:
    """Train on the demo genes in a temporary folder, and draw what was printed."""
    recorder = Console(highlight=False, soft_wrap=True, record=True, width=80, file=io.StringIO())
    console.out, console.table = recorder, recorder.print
    words = ["train", "hydra.run.dir=outputs/first"]
    recorder.print(Text(f"$ genexp {' '.join(words)}", style="bold"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if cli.main(words):
            raise SystemExit("the run failed")
        os.chdir(PICTURE.parent)
    recorder.save_svg(str(PICTURE), title="genexp")


if __name__ == "__main__":
    main()
