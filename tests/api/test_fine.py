"""Fine edges over real HTTP: asked for by a request, or by the operator for all of them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import PIL.Image
import pytest
from httpx2 import Response

from bgone.matting.models import EMBEDDED, MODELS
from bgone.pipeline.sight import seat_bytes
from tests.api.test_chosen_models import nets
from tests.pictures import ball, decode, encode, photo
from tests.serving import Served, serve
from tests.test_hostile import _peak

PHOTO = photo(900, 600, of=ball)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fine")
    light, _ = nets(folder)
    with serve(folder, models=str(light)) as served:
        yield served


@pytest.fixture(scope="module")
def finer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose operator wants fine edges."""
    with serve(tmp_path_factory.mktemp("finer"), quality="fine") as served:
        yield served


def cut(server: Served, data: bytes = PHOTO, **options: str) -> Response:
    return server.post("/cut/v1", files={"image": ("photo.jpg", data)}, data=options)


def runs(server: Served) -> float:
    """Pictures that the net has seen."""
    lines = server.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("bgone_batch_size_sum"))


def test_a_request_asks_for_fine_edges(server: Served) -> None:
    """Another alpha along the edge, the same size, and the net is asked several times."""
    before = runs(server)
    usual = cut(server, quality="standard")
    assert (usual.status_code, runs(server) - before) == (200, 1)
    fine = cut(server, quality="fine")

    assert fine.status_code == 200
    assert 2 < runs(server) - before <= 11
    first, second = decode(usual.content)[..., 3], decode(fine.content)[..., 3]
    assert first.shape == second.shape == (600, 900)
    apart = np.abs(first.astype(int) - second)
    assert (apart > 0).mean() > 0.001
    assert apart[280:320, 430:470].max() == 0


def test_standard_is_what_one_gets(server: Served) -> None:
    """Without a word."""
    assert cut(server).content == cut(server, quality="standard").content != cut(server, quality="fine").content


def test_the_operator_may_say_it_for_all(finer: Served, server: Served) -> None:
    """In every dialect; whoever says standard gets it."""
    assert cut(finer).content == cut(server, quality="fine").content
    assert cut(finer, quality="standard").content == cut(server).content
    files = {"image_file": ("photo.jpg", PHOTO)}
    answers = [one.post("/v1.0/removebg", files=files, data={"size": "full"}) for one in (finer, server)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content != answers[1].content


@pytest.mark.parametrize("quality", ["fine 40", "40, fine"])
def test_edges_and_a_files_quality_go_together(server: Served, quality: str) -> None:
    """In one option, for those who want both."""
    both = cut(server, quality=quality, format="jpg", background="#fff").content

    assert len(both) < len(cut(server, quality="fine", format="jpg", background="#fff").content)
    assert both != cut(server, quality="40", format="jpg", background="#fff").content


@pytest.mark.parametrize("value", ["finest", "0", "fine 101", "fine standard"])
def test_other_words_are_refused(server: Served, value: str) -> None:
    """Which option, what was expected, what came."""
    answer = cut(server, quality=value)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "invalid_option"
    assert (problem["option"], problem["got"]) == ("quality", value)
    assert problem["expected"] == "standard or fine, a whole number from 1 to 100, or both"


@pytest.mark.parametrize("body", [{"quality": "fine"}, {"quality": "fine 90"}, {"quality": 90}])
def test_json_says_it_too(server: Served, body: dict[str, object]) -> None:
    """As a text, or as a number where it is the file's."""
    import base64

    answer = server.post("/cut/v1", json={"image_base64": base64.b64encode(PHOTO).decode(), **body})

    assert answer.status_code == 200


def test_a_chosen_model_is_asked_about_tiles(server: Served) -> None:
    """By its own recipe: a letterbox, one picture at a time; the default's counter stands still."""
    halves = np.zeros((90, 160, 3), np.uint8)
    halves[:, 80:] = 255
    usual, fine = (cut(server, encode(halves, "PNG"), model="light", quality=word) for word in ("standard", "fine"))

    for answer in (usual, fine):
        alpha = decode(answer.content)[..., 3]
        assert alpha[:, :70].max() == 0
        assert alpha[:, 90:].min() == 255


def test_a_job_keeps_it(server: Served) -> None:
    """The order waits with all that was asked."""
    taken = server.post("/cut/v1/jobs", files={"image": ("photo.jpg", PHOTO)}, data={"quality": "fine"})
    assert taken.status_code == 202
    job = taken.json()
    for _ in range(200):
        job = server.get(f"/cut/v1/jobs/{job['id']}").json()
        if job["status"] in ("done", "failed"):
            break
    assert job["result_url"], job
    assert server.get(job["result_url"]).content == cut(server, quality="fine").content


def test_a_48_megapixel_photo_takes_what_is_promised_and_no_more(server: Served) -> None:
    """It streams as before: beyond a standard answer fine edges take no more than a seat's share, and some slack."""
    large = io.BytesIO()
    PIL.Image.fromarray(ball(800, 600)).resize((8000, 6000)).save(large, "JPEG", quality=80)
    data = large.getvalue()
    cut(server, data)  # buffers that a first large picture leaves
    with _peak(server) as usual:
        assert cut(server, data).status_code == 200
    with _peak(server) as fine:
        assert cut(server, data, quality="fine").status_code == 200

    assert fine[0] - usual[0] < seat_bytes(MODELS[EMBEDDED].recipe) + 30_000_000
    assert fine[0] < 8000 * 6000 * 3 / 1.5  # far less than its pixels
