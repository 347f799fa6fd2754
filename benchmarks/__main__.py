"""``python -m benchmarks``: measure, print, write the page."""

from __future__ import annotations

import os
import time
from http.client import HTTPException
from pathlib import Path
from subprocess import SubprocessError

import click

from benchmarks.bench import Bench
from benchmarks.page import Results, lines, measured, page
from benchmarks.table import QUESTIONS

HERE = Path(__file__).parent
LEAST_PAIRS = 7


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(QUESTIONS)), help="This question; may be repeated.")
@click.option("--pairs", default=LEAST_PAIRS, show_default=True, type=click.IntRange(min=1), help="Rounds of A B.")
@click.option("--quick", is_flag=True, help="A smoke test: few rounds, no page unless --out is given.")
@click.option("--out", type=click.Path(path_type=Path), help="The page.  [default: benchmarks/README.md]")
def main(only: tuple[str, ...], pairs: int, out: Path | None, *, quick: bool) -> None:
    """Measure every figure that bgone states, and write them into one page."""
    shared = os.environ.get("BGONE_SHARED")
    bench = Bench(HERE / ".work", Path(shared) if shared else None, pairs, quick=quick)
    results = Results(bench.work / ("quick" if quick else "results"))
    failed = []
    for question in only or QUESTIONS:
        started, load = time.monotonic(), os.getloadavg()[0]
        try:
            rows = QUESTIONS[question](bench)
        except (RuntimeError, OSError, HTTPException, SubprocessError) as error:
            click.echo(f"FAIL  {question}: {error}")
            failed.append(question)
            continue
        answer = measured(question, bench.pairs, started, load, rows)
        results.keep(answer)
        click.echo("\n".join(lines(answer)) + f"\n        [{question}, {answer.seconds:.0f} s]")
        if out or not quick:
            (out or HERE / "README.md").write_text(page(results.all()))
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
