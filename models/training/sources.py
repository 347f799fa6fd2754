"""Write down where everything that was trained with comes from.

    python sources.py --data DATA --out ../SOURCES.tsv

Licences that ask for attribution get one line per item, all others one line per source and licence.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

from data import read_manifest, split_of

COLUMNS = ("items", "used for", "licence", "source", "commit", "path")
USES = {"train": "training", "held-out": "figures", "validation": "figures"}


def attributed(licence: str) -> bool:
    """Whether each item of this licence is named by itself."""
    return licence.startswith("CC-BY")


def rows(data: list[Path]) -> list[tuple[str, ...]]:
    """Lines of the table, sorted, without its head."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row in read_manifest(data):
        use = USES[split_of(row)]
        where = (row["commit"], row["path"]) if attributed(row["licence"]) else ("", "")
        counts[(use, row["licence"], row["source"], *where)] += 1
    return [(str(count), *key) for key, count in sorted(counts.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description="Table of sources, licences and attributions.")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with given.out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows(given.data))
    print(given.out, given.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
