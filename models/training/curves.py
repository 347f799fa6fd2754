"""Draw a training's history: loss, rate of learning and pictures a second over the minutes.

python curves.py --work WORK --out WORK/curves.png
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 900, 240, 60
CURVES = (("loss", "loss, moving mean"), ("lr", "learning rate"), ("rate", "pictures a second"))
INK, LINE, GRID = (40, 40, 40), (30, 100, 200), (225, 225, 225)


def draw_curve(pen: ImageDraw.ImageDraw, top: int, title: str, xs: Sequence[float], ys: Sequence[float]) -> None:
    """One curve in its own box, from 0 to a little above its largest value."""
    font = ImageFont.load_default(13)
    high = max(ys) * 1.05 or 1.0
    inner_width, inner_height = WIDTH - 2 * MARGIN, HEIGHT - MARGIN
    for fraction in (0, 0.5, 1):
        y = top + 30 + inner_height * (1 - fraction)
        pen.line([(MARGIN, y), (WIDTH - MARGIN, y)], GRID)
        pen.text((5, y - 8), f"{high * fraction:.3g}", INK, font)
    pen.text((MARGIN, top + 8), f"{title} over {xs[-1]:.0f} minutes", INK, font)
    points = [
        (MARGIN + inner_width * x / xs[-1], top + 30 + inner_height * (1 - y / high))
        for x, y in zip(xs, ys, strict=True)
    ]
    pen.line(points, LINE, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a training's history.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    history = [json.loads(line) for line in (given.work / "history.jsonl").read_text().splitlines()]
    picture = Image.new("RGB", (WIDTH, HEIGHT * len(CURVES)), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    minutes = [entry["elapsed_s"] / 60 for entry in history]
    for number, (name, title) in enumerate(CURVES):
        draw_curve(pen, number * HEIGHT, title, minutes, [entry[name] for entry in history])
    picture.save(given.out)


if __name__ == "__main__":
    main()
