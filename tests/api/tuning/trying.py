"""A study whose runs are stood in for: each writes the history and the metrics that its settings ask for, at once.

Run as a program it is one process of such a study: ``python trying.py DIRECTORY TRIALS SECONDS_PER_EPOCH``.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

from genexp.api.jobs import Job, Shares
from genexp.api.tuning.journal import Journal
from genexp.api.tuning.search import Search
from genexp.api.tuning.space import Choices, Range

SPACE = {"x": Range(0.0, 1.0, False, False), "how": Choices(("completed",))}
EPOCHS = 4

#: A stand-in for genexp train: it goes on after the epochs that are there, as a resumed run does,
#: and ends with the process that started it.
RUN = """
import json, os, pathlib, sys, threading, time
threading.Thread(target=lambda: (os.read(0, 1), os._exit(130)), daemon=True).start()
place, x, how, pause = pathlib.Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], float(sys.argv[4])
(place / "started").open("a").write("x")
history, head = place / "history.csv", "epoch,loss,val_loss,val_r2,lr,seconds,val_seconds\\n"
lines = history.read_text().splitlines(True) if history.exists() else [head]
for epoch in range(len(lines), 5):
    time.sleep(pause)
    lines.append(f"{epoch},1,{1 - x},{x * epoch / 4},0.1,1,0\\n")
    new = place / "new.csv"
    new.write_text("".join(lines))
    new.replace(history)
if how == "killed":
    os.kill(os.getpid(), 9)
if how == "crashed":
    sys.exit("error: out of order")
found = {"status": how, "reason": f"{how}: as asked", "best": {"valid": {"r2": x}} if how == "completed" else {}}
if how == "memory":
    found |= {"status": "failed", "reason": "MemoryError: 5 GiB", "error": "MemoryError"}
(place / "metrics.json").write_text(json.dumps(found))
sys.exit(0 if how == "completed" else 2)
"""


class StandIn(Job):
    """A job whose process is `RUN`."""

    def left(self):
        return None if (self.directory / "metrics.json").exists() else list(self.words)

    def start(self, words, variables=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-S", "-c", RUN, str(self.directory), *words]
        with (self.directory / "job.log").open("a") as log:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)


def journal(place: Path, space=SPACE, **settings) -> Journal:
    place.mkdir(exist_ok=True)
    return Journal(place, space, **{"maximize": True, "seed": 5, "warmup": 1, "first": {"x": 0.5}} | settings)


def search(place: Path, trials: int, *, pause=0.0, space=SPACE, at_once=1, limit=math.inf, check=None, **settings):
    """Run one process of a study to its end, and return its journal and whether it was not stopped by the time."""
    study = journal(place, space, **settings)

    def job(number, values):
        words = (str(values["x"]), values["how"], str(pause))
        return StandIn(number, words, place / "trials" / f"{number:04}")

    ends = time.monotonic() + limit
    with study.worker() as worker:
        run = Search(
            study, worker, job, check or (lambda values: None), "r2", Shares(at_once, 1), trials, ends, lambda *x: None
        )
        return study, run.run()


if __name__ == "__main__":
    search(Path(sys.argv[1]), int(sys.argv[2]), pause=float(sys.argv[3]))
