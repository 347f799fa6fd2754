"""Many pictures at once: a few at a time, a busy server waited for, all in one ZIP; and errors in words."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Route

from tests.api.console.browser import Visit
from tests.api.console.conftest import Open
from tests.api.console.test_cutting import direct, read
from tests.serving import Served, serve

Draw = Callable[[int], list[Path]]
CUT = "**/cut/v1"
BUSY = "want => document.querySelectorAll('.picture progress:not([hidden])').length === want"


WATCH = """() => {
    window.notes = [];
    new MutationObserver(() => notes.push(...[...document.querySelectorAll(".note")].map((note) => note.textContent)))
        .observe(document.querySelector("#list"), {subtree: true, childList: true, characterData: true});
}"""


def wait_held(console: Visit, held: list[Route], count: int) -> None:
    """Until so many requests are held; playwright tells of them only while it is waited for something."""
    give_up_at = time.monotonic() + 90
    while len(held) < count and time.monotonic() < give_up_at:
        console.page.wait_for_timeout(20)
    assert len(held) == count


def notes(console: Visit) -> list[str]:
    """How each picture stands, in words."""
    return console.page.locator(".picture .note").all_inner_texts()


def test_many_become_one_zip(console: Visit, server: Served, pictures: Draw) -> None:
    """Every cutout under its own name, stored, with sound checksums; the same bytes as from direct requests."""
    paths = pictures(7)
    console.add(*paths)
    console.ready(7)
    assert console.page.locator("#pictures-title").inner_text() == "Pictures (7)"

    with console.page.expect_download() as started:
        console.page.get_by_role("button", name="Download all (ZIP)").click()
    name, data = read(started.value)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert name == "cutouts.zip"
        assert archive.testzip() is None
        assert archive.namelist() == [f"ball {number}-cutout.png" for number in range(1, 8)]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        for path, entry in zip(paths, archive.namelist(), strict=True):
            assert archive.read(entry) == direct(server, path.read_bytes())


def test_names_in_a_zip_are_safe_and_different(console: Visit, tmp_path: Path, pictures: Draw) -> None:
    """Two files of one name become two; letters of all languages stay."""
    photo = pictures(1)[0].read_bytes()
    paths = [tmp_path / folder / "tasse \u00fc \u676f.jpg" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(photo)
        console.add(path)
    console.ready(2)

    with console.page.expect_download() as started:
        console.page.locator("#download-all").click()
    with zipfile.ZipFile(io.BytesIO(read(started.value)[1])) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["tasse \u00fc \u676f-cutout.png", "tasse \u00fc \u676f-cutout-2.png"]


def test_a_zip_has_what_is_asked_now(console: Visit, pictures: Draw) -> None:
    """Pictures that were cut with earlier options are cut again first."""
    console.page.get_by_label("Redraw the picture as I change things").uncheck()
    console.add(*pictures(3))
    console.ready(3)
    console.page.locator("[data-preset=white]").click()
    assert console.page.locator("#update").inner_text() == "Update 3 pictures"

    with console.page.expect_download() as started:
        console.page.locator("#download-all").click()
    with zipfile.ZipFile(io.BytesIO(read(started.value)[1])) as archive:
        assert [Path(name).suffix for name in archive.namelist()] == [".jpg"] * 3


def test_two_at_a_time(console: Visit, pictures: Draw) -> None:
    """However many wait, no more than two are with the server."""
    held: list[Route] = []
    console.page.route(CUT, lambda route: held.append(route))
    console.add(*pictures(5))
    for done in range(5):
        want = min(2, 5 - done)
        console.page.wait_for_function(BUSY, arg=want)
        wait_held(console, held, want)
        held.pop(0).continue_()
        console.page.wait_for_function(
            "done => document.querySelectorAll('.picture[data-state=done]').length === done", arg=done + 1
        )


@pytest.mark.parametrize(("status", "words"), [(503, "The server is busy"), (429, "Too many at once")])
def test_a_busy_server_is_waited_for(console: Visit, pictures: Draw, status: int, words: str) -> None:
    """For as long as it says; the picture is cut then, without anybody's doing."""
    answered: list[int] = []

    def once(route: Route) -> None:
        answered.append(status)
        if len(answered) > 1:
            route.continue_()
        else:
            problem = {"detail": "Too many orders."}
            route.fulfill(status=status, headers={"Retry-After": "1"}, json=problem)

    console.page.route(CUT, once)
    console.page.evaluate(WATCH)
    console.add(pictures(1)[0])
    console.ready()

    assert len(answered) == 2
    assert f"{words}: again in 1 second" in console.page.evaluate("notes")


def test_a_server_that_is_full_gets_all_done_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, opened: Open, pictures: Draw
) -> None:
    """One seat and no queue: what it refuses comes again."""
    with (
        serve(tmp_path_factory.mktemp("full"), seats=1, queue=0) as served,
        opened(served.url) as console,
    ):
        console.add(*pictures(4))
        console.ready(4)


def test_a_server_that_is_gone_is_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, opened: Open, pictures: Draw
) -> None:
    """No answer is no mystery, and can be tried again."""
    with serve(tmp_path_factory.mktemp("gone")) as served, opened(served.url) as console:
        console.page.route(CUT, lambda route: route.abort("connectionrefused"))
        console.add(pictures(1)[0])
        console.page.locator(".picture[data-state=failed]").wait_for()
        assert "did not answer" in notes(console)[0]
        assert "did not answer" in console.page.locator("#stage-note").inner_text()

        console.page.unroute(CUT)
        console.complaints.clear()
        console.page.get_by_role("button", name="Try again ball 1.jpg").click()
        console.ready()


def test_what_the_server_says_is_shown_where_it_belongs(console: Visit, server: Served, pictures: Draw) -> None:
    """Its own words, at the picture and at the option; gone when the option is mended."""
    path = pictures(1)[0]
    console.add(path)
    console.ready()
    console.open_groups()
    console.page.get_by_label("Crop to the subject").check()
    console.page.locator("#o-margin").fill("banana")
    console.page.locator(".picture[data-state=failed]").wait_for()

    answer = server.post("/cut/v1", files={"image": path.read_bytes()}, data={"crop": "true", "margin": "banana"})
    words = answer.json()["detail"]
    assert notes(console) == [words]
    field = console.page.locator(".field[data-wrong]")
    assert field.locator("label").inner_text() == "Room around it"
    assert field.locator(".wrong").inner_text() == words
    assert console.page.locator("#o-margin").get_attribute("aria-invalid") == "true"
    assert words in console.page.locator("#said").inner_text()

    console.page.locator("#o-margin").fill("5%")
    console.ready()
    assert field.count() == 0


def test_a_file_that_is_gone_from_the_disk_is_told_in_words(console: Visit, pictures: Draw) -> None:
    """Browsers refuse to send it; the page says why."""
    path = pictures(1)[0]
    console.add(path)
    console.ready()
    path.unlink()
    console.page.locator("[data-preset=white]").click()
    console.page.locator(".picture[data-state=failed]").wait_for()

    assert notes(console)[0].startswith("This file was changed")
    console.complaints.clear()


def test_a_file_that_is_no_photo_is_told_in_words(console: Visit, server: Served, tmp_path: Path) -> None:
    """It has a photo's name, so it is sent; the server's words come back."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no photo at all")
    console.add(path)
    console.page.locator(".picture[data-state=failed]").wait_for()

    answer = server.post("/cut/v1", files={"image": path.read_bytes()})
    assert notes(console) == [answer.json()["detail"]]


def test_a_file_that_is_too_large_is_not_sent(
    tmp_path_factory: pytest.TempPathFactory, opened: Open, tmp_path: Path
) -> None:
    """The page knows the limit, and says it at once."""
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1_200_000))
    with serve(tmp_path_factory.mktemp("small"), max_mb=1) as served, opened(served.url) as console:
        sent: list[str] = []
        console.page.on("request", lambda asked: sent.append(asked.url))
        console.add(path)
        console.page.locator(".picture[data-state=failed]").wait_for()

        assert notes(console) == ["This file has 1.2 MB; the server takes at most 1.0 MB."]
        assert [address for address in sent if address.endswith("/cut/v1")] == []


def test_pictures_can_be_removed(console: Visit, pictures: Draw) -> None:
    """One by one and all together; the keyboard's place is kept."""
    console.add(*pictures(3))
    console.ready(3)
    console.page.get_by_role("button", name="Remove ball 1.jpg").click()
    assert console.page.locator("#stage-title").inner_text() == "ball 2.jpg"
    assert console.page.evaluate("document.activeElement.textContent").startswith("ball 2.jpg")

    console.page.get_by_role("button", name="Remove all").click()
    assert console.page.locator(".picture").count() == 0
    assert console.page.locator("#stage").is_hidden()


def test_progress_is_told(console: Visit, pictures: Draw) -> None:
    """A bar for each picture while it is with the server, and words for who cannot see it."""
    held: list[Route] = []
    console.page.route(CUT, lambda route: held.append(route))
    console.add(pictures(1)[0])
    bar = console.page.get_by_role("progressbar", name="Progress of ball 1.jpg")
    bar.wait_for()
    wait_held(console, held, 1)
    assert console.page.locator(".picture").get_attribute("data-state") in ("sending", "working")
    console.page.wait_for_function("() => document.querySelector('#said').textContent.includes('added')")
    held.pop().continue_()
    console.ready()

    assert bar.is_hidden()
    console.page.wait_for_function("() => document.querySelector('#said').textContent === 'ball 1.jpg is ready'")
