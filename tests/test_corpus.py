"""Every file of the shared corpus, posted to a running server: always an answer, never a surprise."""

from __future__ import annotations

import base64
import csv
import io
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL.Image
import pytest
from httpx2 import Client, Response

from tests.pictures import photo
from tests.serving import Served

CODES = {"invalid_image", "image_too_large", "unsupported_media_type"}
SECONDS = 10
GROWTH_BYTES = 1 << 30


def _rows(shared: Path) -> list[dict[str, str]]:
    with (shared / "corpus" / "manifest.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def _post(client: Client, data: bytes, how: str) -> Response:
    if how == "multipart":
        return client.post("/v2", files={"image_file": ("x.bin", data)})
    if how == "base64":
        text = base64.b64encode(data).decode()
        return client.post("/v2", json={"image_base64": text}, headers={"accept": "image/*"})
    return client.post("/v2", content=data, headers={"content-type": "image/jpeg"})


def _check(row: dict[str, str], answer: Response) -> str:
    """A complaint about an answer, or nothing."""
    if answer.elapsed.total_seconds() > SECONDS:
        return f"took {answer.elapsed}"
    if answer.status_code == 200:
        with PIL.Image.open(io.BytesIO(answer.content)) as picture:
            picture.load()
            size = sorted(picture.size)
        stated = sorted((int(row["width"] or 0), int(row["height"] or 0)))
        if row["expectation"] == "valid" and size != stated:
            return f"{size} instead of {stated}"
        return "a bomb was drawn" if row["expectation"] == "bomb" else ""
    if row["expectation"] == "valid":
        return f"{answer.status_code} {answer.text[:200]}"
    error = answer.json()["error"]
    fine = 400 <= answer.status_code < 500 and error["status"] == answer.status_code and error["code"] in CODES
    return "" if fine else f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.timeout(600)
def test_every_file_gets_an_answer(shared: Path, server: Served) -> None:
    """Valid files give a picture of the stated size, others a picture or the error object; by every way alike."""
    rows = _rows(shared)
    seed = random.randrange(1 << 30)
    print(f"order seed {seed}")
    random.Random(seed).shuffle(rows)
    before = server.resident_bytes()
    complaints: list[str] = []
    peak = before

    def visit(item: tuple[int, dict[str, str]]) -> None:
        nonlocal peak
        index, row = item
        data = (shared / "corpus" / row["file"]).read_bytes()
        with server.client() as client:
            ways = ("multipart", "base64", "raw") if index % 10 == 0 else ("multipart",)
            answers = {how: _post(client, data, how) for how in ways}
        peak = max(peak, server.resident_bytes())
        for how, answer in answers.items():
            # An empty or headless raw body has no picture in it to call broken.
            if complaint := _check(row, answer):
                complaints.append(f"{row['file']} by {how}: {complaint}")
        if len({answer.status_code for answer in answers.values()}) > 1:
            complaints.append(f"{row['file']}: {[(how, a.status_code) for how, a in answers.items()]}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, enumerate(rows)))

    assert not complaints, "\n".join(complaints)
    assert peak - before < GROWTH_BYTES
    ready = server.get("/readyz")
    assert ready.status_code == 200
    assert ready.elapsed.total_seconds() < 0.25
    assert server.post("/v2", files={"image_file": ("x.jpg", photo())}).status_code == 200
