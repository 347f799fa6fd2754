"""One picture in a real browser: in by every way, cut, looked at, changed, downloaded."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pillow_heif
import pytest
from playwright.sync_api import Download

from bgone.matting.models import EMBEDDED, MODELS
from tests.api.console.browser import Visit
from tests.api.console.conftest import Open
from tests.conftest import ROOT
from tests.origin import site
from tests.pictures import ball, encode, photo
from tests.serving import Served, serve

COPY = """async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})})]);
}"""


def direct(server: Served, picture: bytes, **options: str) -> bytes:
    """What the server answers to a program that asks the same."""
    answer = server.post("/cut/v1", files={"image": ("photo.jpg", picture)}, data=options)
    assert answer.status_code == 200, answer.text
    return answer.content


def downloaded(console: Visit) -> tuple[str, bytes]:
    """Name and bytes of what the button gives."""
    with console.page.expect_download() as started:
        console.page.locator("#download").click()
    return read(started.value)


def read(download: Download) -> tuple[str, bytes]:
    """Name and bytes of a finished download."""
    return download.suggested_filename, Path(download.path()).read_bytes()


def settle(console: Visit, change: str) -> None:
    """Do something that has the picture drawn again, and wait until that is done."""
    before = console.page.locator("#after").get_attribute("src")
    console.page.evaluate(change) if change.startswith("document") else console.page.locator(change).click()
    console.page.wait_for_function("src => document.querySelector('#after').src !== src && !after.hidden", arg=before)
    console.ready()


def set_option(console: Visit, option: str, value: str) -> None:
    """Fill in a control, and wait for the picture."""
    selector = f"[data-option={option}]:enabled"
    locator = console.page.locator(selector).first
    before = console.page.locator("#after").get_attribute("src")
    if locator.evaluate("control => control.tagName") == "SELECT":
        locator.select_option(value)
    elif locator.get_attribute("type") == "checkbox":
        locator.set_checked(value == "true")
    else:
        locator.fill(value)
    console.page.wait_for_function("src => document.querySelector('#after').src !== src", arg=before)
    console.ready()


# --- ways in --------------------------------------------------------------------------------------------------------


def drop(console: Visit, *paths: Path) -> None:
    """Drag files or folders from outside over the page, and let go."""
    devtools = console.page.context.new_cdp_session(console.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        assert console.page.locator("#drop-sign").is_visible() is (kind != "dragEnter")
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 200, "data": data})
    assert console.page.locator("#drop-sign").is_hidden()


def test_a_dropped_photo_becomes_the_cutout_a_program_gets(console: Visit, server: Served, ball_photo: Path) -> None:
    """Dropped, seen, downloaded: the same bytes as from a direct request."""
    drop(console, ball_photo)
    console.ready()

    assert console.page.locator("#after").is_visible()
    assert console.page.locator("#before").is_visible()
    name, data = downloaded(console)
    assert name == "ball 1-cutout.png"
    assert data == direct(server, ball_photo.read_bytes())
    alpha = np.asarray(PIL.Image.open(io.BytesIO(data)))[..., 3]
    assert alpha[60, 90] == 255
    assert alpha[2, 2] == 0


def test_a_dropped_folder_gives_all_its_pictures(console: Visit, ball_photo: Path, tmp_path: Path) -> None:
    """Those in its folders too; what is hidden or no picture is left out."""
    for name in ("shop/a.jpg", "shop/inner/b.jpg", "shop/inner/.hidden.jpg", "shop/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ball_photo, tmp_path / name)
    drop(console, tmp_path / "shop", ball_photo)
    console.ready(3)

    assert sorted(console.page.locator(".picture .name").all_inner_texts()) == ["a.jpg", "b.jpg", "ball 1.jpg"]
    assert console.page.locator("#intake-wrong").inner_text() == "notes.txt is no picture, so left out."


def test_a_pasted_picture_is_cut(server: Served, opened: Open) -> None:
    """From the clipboard, by the keys that everybody knows."""
    with opened(server.url, permissions=["clipboard-read", "clipboard-write"]) as console:
        console.page.evaluate(COPY, base64.b64encode(encode(ball(), "PNG")).decode())
        console.page.keyboard.press("Control+v")
        console.ready()

        assert "61 \u00d7 40" in console.page.locator("#stage-facts").inner_text()
        assert console.page.locator(".picture .name").inner_text().startswith("pasted-")


def test_a_picture_comes_from_its_address(console: Visit, server: Served) -> None:
    """The server fetches it; the page asks no other host, so it has no original to show, and says so."""
    picture = photo(of=ball)
    with site({"/ball.jpg": picture}) as origin:
        console.page.get_by_label("Address of a picture").fill(f"{origin}/ball.jpg")
        console.page.get_by_role("button", name="Add").click()
        console.ready()

        assert downloaded(console) == ("ball-cutout.png", direct(server, picture))
        assert console.page.locator("#before").is_hidden()
        assert "not the original" in console.page.locator("#stage-note").inner_text()
        assert f"image_url={origin}/ball.jpg" in console.page.locator("#snippet").inner_text()


def test_a_pasted_address_is_one(console: Visit) -> None:
    """Text that is pasted beside the fields is an address, or explained."""
    paste = """text => {
        const data = new DataTransfer();
        data.setData("text/plain", text);
        document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
    }"""
    console.page.evaluate(paste, "hello")
    assert "begins with https://" in console.page.locator("#intake-wrong").inner_text()

    with site({"/b.jpg": photo(of=ball)}) as origin:
        console.page.evaluate(paste, f"{origin}/b.jpg")
        console.ready()


def test_the_example_needs_no_picture(console: Visit) -> None:
    """A mug is drawn in the page, and the net finds it."""
    console.page.get_by_role("button", name="Try an example").click()
    console.ready()

    _, data = downloaded(console)
    alpha = np.asarray(PIL.Image.open(io.BytesIO(data)))[..., 3]
    assert alpha.shape == (900, 1200)
    assert alpha[500, 580] > 250
    assert alpha[100, 100] < 5


def test_what_is_no_picture_is_left_out(console: Visit, tmp_path: Path, ball_photo: Path) -> None:
    """By name and type, and in words."""
    (tmp_path / "notes.txt").write_text("no picture")
    console.add(tmp_path / "notes.txt", ball_photo)
    console.ready()

    assert console.page.locator(".picture").count() == 1
    assert console.page.locator("#intake-wrong").inner_text() == "notes.txt is no picture, so left out."


@pytest.mark.parametrize("suffix", ["tiff", "heic"])
def test_a_kind_that_browsers_cannot_show_is_cut_all_the_same(
    console: Visit, server: Served, tmp_path: Path, suffix: str
) -> None:
    """In: there is no original to see. Out, as TIFF: there is nothing to see at all, but something to download."""
    path = tmp_path / f"ball.{suffix}"
    if suffix == "heic":
        pillow_heif.from_pillow(PIL.Image.fromarray(ball(121, 81))).save(path)
    else:
        path.write_bytes(encode(ball(), "TIFF"))
    console.add(path)
    console.ready()
    assert "cannot show the original" in console.page.locator("#stage-note").inner_text()
    assert downloaded(console)[1] == direct(server, path.read_bytes())

    console.open_groups()
    console.page.locator("#o-format").select_option("tiff")
    console.page.wait_for_function(
        "() => document.querySelector('#stage-note').textContent.includes('ready to download')"
    )
    console.ready()
    assert downloaded(console) == ("ball-cutout.tiff", direct(server, path.read_bytes(), format="tiff"))


# --- options --------------------------------------------------------------------------------------------------------

ASKED: dict[str, dict[str, str]] = {
    "a file": {"format": "jpg", "quality": "60", "channels": "rgb"},
    "the mask": {"channels": "alpha"},
    "a size": {"max_side": "90"},
    "a frame": {"width": "100", "height": "100", "fit": "cover"},
    "a crop": {"crop": "true", "margin": "10%", "aspect": "1:1"},
    "a place": {"scale": "50%", "position": "50% 100%"},
    "a part": {"region": "0% 0% 50% 100%"},
    "a shadow": {"shadow": "offset", "shadow_opacity": "80", "shadow_blur": "10", "shadow_offset": "4 3"},
    "an outline": {"outline": "3", "outline_color": "#00ff00"},
    "edges": {"despill": "true", "semitransparency": "false", "max_megapixels": "0.01"},
}


@pytest.mark.parametrize("case", ASKED)
def test_options_do_what_they_do_for_programs(console: Visit, server: Served, ball_photo: Path, case: str) -> None:
    """Each control changes the picture into what a direct request with that option gives."""
    console.add(ball_photo)
    console.ready()
    console.open_groups()
    for option, value in ASKED[case].items():
        set_option(console, option, value)

    _, data = downloaded(console)
    assert data == direct(server, ball_photo.read_bytes(), **ASKED[case])
    assert data != direct(server, ball_photo.read_bytes())


def test_edges_and_a_files_quality_are_asked_together(console: Visit, server: Served, tmp_path: Path) -> None:
    """They are one option of the API; each has a control of its own."""
    path = tmp_path / "large.png"
    path.write_bytes(encode(ball(800, 560), "PNG"))
    console.add(path)
    console.ready()
    console.open_groups()
    console.page.locator("#o-quality-edges").select_option("fine")
    console.ready()
    assert downloaded(console)[1] == direct(server, path.read_bytes(), quality="fine")

    set_option(console, "format", "jpg")
    set_option(console, "quality", "40")
    assert downloaded(console)[1] == direct(server, path.read_bytes(), format="jpg", quality="40 fine")


@pytest.mark.parametrize(
    ("segment", "option", "value", "asked"),
    [
        ("Colour", "background", "#aecde0", {"background": "#aecde0"}),
        ("Blur", "background", "70", {"background": "blur:70"}),
    ],
)
def test_backgrounds(
    console: Visit, server: Served, ball_photo: Path, segment: str, option: str, value: str, asked: dict[str, str]
) -> None:
    """A colour, and the photo itself out of focus."""
    console.add(ball_photo)
    console.ready()
    console.page.get_by_role("radio", name=segment).check()
    console.ready()
    set_option(console, option, value)

    assert downloaded(console)[1] == direct(server, ball_photo.read_bytes(), **asked)


def test_a_picture_as_background(console: Visit, server: Served, ball_photo: Path, tmp_path: Path) -> None:
    """Chosen from the device, laid under as asked."""
    ground = tmp_path / "ground.png"
    ground.write_bytes(encode(np.full((20, 30, 3), (20, 90, 160), np.uint8), "PNG"))
    console.add(ball_photo)
    console.ready()
    console.page.get_by_role("radio", name="Picture").check()
    before = console.page.locator("#after").get_attribute("src")
    console.page.locator("#o-background_image").set_input_files(ground)
    console.page.wait_for_function("src => document.querySelector('#after').src !== src", arg=before)
    set_option(console, "background_fit", "contain")

    answer = server.post(
        "/cut/v1",
        files={"image": ball_photo.read_bytes(), "background_image": ground.read_bytes()},
        data={"background_fit": "contain"},
    )
    assert downloaded(console)[1] == answer.content


def test_ready_made_options_are_a_click(console: Visit, server: Served, ball_photo: Path) -> None:
    """For a shop: white, square, cropped. And back."""
    console.add(ball_photo)
    console.ready()
    settle(console, "[data-preset=shop]")

    asked = {
        "background": "#ffffff",
        "format": "jpg",
        "crop": "true",
        "margin": "8%",
        "aspect": "1:1",
        "max_side": "2000",
    }
    assert downloaded(console) == ("ball 1-cutout.jpg", direct(server, ball_photo.read_bytes(), **asked))
    assert console.page.locator("[data-preset=shop]").get_attribute("aria-pressed") == "true"
    assert "apart" in (console.page.locator("#frame").get_attribute("class") or "")
    settle(console, "[data-preset=cutout]")
    assert downloaded(console)[1] == direct(server, ball_photo.read_bytes())


def test_nothing_is_drawn_again_unasked(console: Visit, ball_photo: Path) -> None:
    """Where redrawing is switched off, a change waits for the button."""
    console.page.get_by_label("Redraw the picture as I change things").uncheck()
    console.add(ball_photo)
    console.ready()
    console.page.locator("[data-preset=white]").click()

    row = console.page.locator(".picture")
    assert row.locator(".note").inner_text() == "Ready, with earlier options"
    settle(console, "#update")
    assert row.locator(".note").inner_text() == "Ready"
    assert console.page.locator("#update").is_hidden()


# --- looking --------------------------------------------------------------------------------------------------------


def colour_at(console: Visit, x: float, y: float) -> tuple[int, ...]:
    """What is seen at a place of the stage, from 0 to 1 across and down."""
    with PIL.Image.open(io.BytesIO(console.page.locator("#frame").screenshot())) as image:
        return tuple(image.convert("RGB").getpixel((int(x * image.width), int(y * image.height))))  # type: ignore[arg-type]


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(one, other, strict=True))


def test_the_slider_shows_before_and_after(console: Visit, ball_photo: Path) -> None:
    """Left of the handle the photo, right of it the cutout; by mouse and by keys."""
    console.add(ball_photo)
    console.ready()
    console.page.get_by_label("white", exact=True).check(force=True)
    wall, white = (200, 206, 214), (255, 255, 255)
    assert near(colour_at(console, 0.05, 0.5), wall)
    assert near(colour_at(console, 0.95, 0.3), white)

    slider = console.page.locator("#slider")
    slider.focus()
    slider.press("Home")
    assert near(colour_at(console, 0.1, 0.3), white)
    slider.press("End")
    assert near(colour_at(console, 0.95, 0.3), wall)
    slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "99 % original"

    box: Any = slider.bounding_box()
    console.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.7)
    assert abs(int(slider.input_value()) - 25) <= 1


def test_the_cutout_is_looked_at_on_any_colour(console: Visit, ball_photo: Path) -> None:
    """Squares at first, then what is chosen; the file stays as it is."""
    console.add(ball_photo)
    console.ready()
    name, data = downloaded(console)
    console.page.locator("#slider").fill("0")
    squares = {colour_at(console, x / 100, 0.05) for x in range(60, 90)}
    assert len(squares) > 1

    console.page.get_by_label("black", exact=True).check(force=True)
    assert near(colour_at(console, 0.9, 0.9), (16, 18, 20))
    console.page.locator("#look-colour").fill("#3366cc")
    assert near(colour_at(console, 0.9, 0.9), (0x33, 0x66, 0xCC))
    assert downloaded(console) == (name, data)


def test_a_picture_is_seen_at_its_actual_size(console: Visit, ball_photo: Path) -> None:
    """Pixel for pixel."""
    console.add(ball_photo)
    console.ready()
    console.page.get_by_role("button", name="Actual size").click()

    box: Any = console.page.locator("#frame").bounding_box()
    assert (box["width"], box["height"]) == (181, 121)


def test_a_model_is_chosen_where_there_are_several(
    tmp_path_factory: pytest.TempPathFactory, opened: Open, ball_photo: Path
) -> None:
    """The field is there then, with the default first; another one is sent by name."""
    folder = tmp_path_factory.mktemp("models")
    other = folder / "other.onnx"
    shutil.copy(ROOT / "models" / MODELS[EMBEDDED].file, other)
    with serve(tmp_path_factory.mktemp("two"), models=other) as served, opened(served.url) as console:
        console.add(ball_photo)
        console.ready()
        console.open_groups()
        assert console.page.locator("#o-model option").all_inner_texts() == [EMBEDDED, "other"]
        set_option(console, "model", "other")

        assert "-F model=other" in console.page.locator("#snippet").inner_text()
        assert downloaded(console)[1] == direct(served, ball_photo.read_bytes(), model="other")
