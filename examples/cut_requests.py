"""Cut a picture with requests: python cut_requests.py photo.jpg cutout.png

BGONE_URL is the server's address, BGONE_KEY a key where it needs one.
"""

import os
import sys

import requests


def cut(photo: str, cutout: str) -> None:
    url = os.environ.get("BGONE_URL", "http://127.0.0.1:8000")
    key = os.environ.get("BGONE_KEY")
    with open(photo, "rb") as file:
        answer = requests.post(
            f"{url}/cut/v1",
            files={"image": file},
            data={"crop": "true", "margin": "5%"},
            headers={"X-Api-Key": key} if key else {},
            timeout=60,
        )
    if not answer.ok:
        problem = answer.json()
        sys.exit(f"{problem['code']}: {problem['detail']}")
    with open(cutout, "wb") as file:
        file.write(answer.content)


if __name__ == "__main__":
    cut(sys.argv[1], sys.argv[2])
