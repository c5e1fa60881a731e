"""Coverage of the 95 % interval of r2: how often it contains r2 on many more genes.

For each of many seeds of the demo genes, fc_net is trained on T (800 genes), and metrics.json gives r2 of its 100 test
genes with the bootstrap interval. The same network then predicts 50,000 other demo genes, which have the same
distribution. A 95 % interval contains r2 on these for about 95 % of the seeds.

T, P and PT can be used: their values do not depend on the training genes, as those of H do. Results go to a CSV file,
a row for each seed, and seeds that it has already are not repeated. About 8 seconds per seed on one core.

    python benchmarks/interval_coverage.py coverage.csv
    python benchmarks/interval_coverage.py coverage.csv --seeds 20 --model xpresso --data P training.epochs=6
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import genexp
from genexp.evaluation.metrics import r2
from genexp.simulate.demo import simulate_demo
from genexp.simulate.sequence import PROMOTER_LENGTH

#: The seed of the other genes; those of training have 0, 1, 2 ...
OTHER_SEED = 1_000_000
COLUMNS = ("seed", "status", "r2", "low", "high", "r2_other", "contained")


def other_genes(number: int, data: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return labels, (n,), and inputs of the genes that no run was trained on."""
    found = simulate_demo(number, OTHER_SEED, data, (0, PROMOTER_LENGTH))
    features = {"T": found.blocks["T"].astype(np.float32)} if "T" in data else {}
    return found.labels, {"promoters": found.blocks.get("P"), "features": features}


def measured(seed: int, words: list[str], labels: np.ndarray, inputs: dict[str, Any]) -> dict[str, Any]:
    """Train on the genes of a seed; return r2 with its interval, and r2 on the other genes."""
    import keras

    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        try:
            chosen = [*words, f"seed={seed}", f"dataset.seed={seed}"]
            run = genexp.train(*chosen, directory=Path(folder) / "run", progress=False)
        except genexp.UserError as error:
            return {"seed": seed, "status": str(error).splitlines()[0]}
        test = run.metrics["best"]["test"]
        low, high = test["r2_ci95"]
        other = r2(labels, run.predict(**inputs))
    values = {"r2": test["r2"], "low": low, "high": high, "r2_other": other, "contained": int(low <= other <= high)}
    return {"seed": seed, "status": "completed", **values}


def main() -> None:
    """Measure seed by seed, and print the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="results, a row for each seed")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--genes", type=int, default=1000, help="genes of training, validation and test together")
    parser.add_argument("--other", type=int, default=50_000, help="genes that r2 is compared on")
    parser.add_argument("--model", default="fc_net")
    parser.add_argument("--data", default="T", choices=("T", "P", "PT"))
    parser.add_argument("overrides", nargs="*", help="more overrides of genexp train")
    given = parser.parse_args()
    words = [
        f"model={given.model}",
        f"data={given.data}",
        f"dataset.genes={given.genes}",
        "hardware=cpu",
        "baseline=false",
    ]
    labels, inputs = other_genes(given.other, given.data)
    with given.csv.open("a+", newline="", encoding="utf-8") as file:
        file.seek(0)
        rows = list(csv.DictReader(file))
        writer = csv.DictWriter(file, COLUMNS)
        if not rows:
            writer.writeheader()
        done = {int(row["seed"]) for row in rows}
        for seed in range(given.seeds):
            if seed in done:
                continue
            row = measured(seed, [*words, *given.overrides], labels, inputs)
            writer.writerow(row)
            file.flush()
            rows.append({key: str(value) for key, value in row.items()})
            print(row, flush=True)
    complete = [row for row in rows if row["status"] == "completed"]
    contained = sum(int(row["contained"]) for row in complete)
    low, high = stats.binomtest(contained, len(complete)).proportion_ci(method="exact")
    print(f"{contained} of {len(complete)} intervals contain r2 on the other genes: {contained / len(complete):.1%}")
    print(f"95 % interval of this share: {low:.1%} to {high:.1%}; {len(rows) - len(complete)} runs without results")


if __name__ == "__main__":
    main()
