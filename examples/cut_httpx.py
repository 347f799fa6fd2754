"""Cut a folder of pictures with httpx, four at a time: python cut_httpx.py photos cutouts

BGONE_URL is the server's address, BGONE_KEY a key where it needs one.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

AT_ONCE = 4
TRIES = 5


def cut(client: httpx.Client, photo: Path, cutout: Path) -> None:
    """The answer is written as it comes, aside, so that no half picture bears the final name."""
    aside = cutout.with_name(cutout.name + ".part")
    for _ in range(TRIES):
        with photo.open("rb") as file:
            asked = {"data": {"format": "webp"}, "files": {"image": file}}
            with client.stream("POST", "/cut/v1", **asked) as answer:
                if answer.status_code in (429, 503):  # busy: it says when to come again
                    time.sleep(float(answer.headers.get("retry-after", "1")))
                    continue
                if answer.is_error:
                    raise SystemExit(f"{photo}: {answer.read().decode()}")
                with aside.open("wb") as out:
                    for piece in answer.iter_bytes():
                        out.write(piece)
        aside.replace(cutout)
        return
    raise SystemExit(f"{photo}: the server stayed busy")


def main(photos: Path, cutouts: Path) -> None:
    cutouts.mkdir(parents=True, exist_ok=True)
    url, key = os.environ.get("BGONE_URL", "http://127.0.0.1:8000"), os.environ.get("BGONE_KEY")
    headers = {"X-Api-Key": key} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        files = sorted(path for path in photos.iterdir() if path.is_file())
        cuts = threads.map(lambda photo: cut(client, photo, cutouts / f"{photo.stem}.webp"), files)
        list(cuts)  # waits for all; a failure is raised here


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
