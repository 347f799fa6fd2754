"""The library: every kind of source and answer, threads, tasks, closing, and the server's own bytes."""

from __future__ import annotations

import ast
import asyncio
import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_type, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

import bgone
from bgone import ApiError, AsyncCutter, CutOptions, Cutter, StartError, cut
from bgone.api.render_options import OPTIONS, PICTURES
from bgone.imaging.bare_tiff import bare_tiff
from tests import pictures
from tests.conftest import ROOT
from tests.origin import site
from tests.pictures import ball, decode, encode
from tests.serving import Served

PHOTO = encode(ball(161, 120), "PNG")
ARRAY = ball(161, 120)
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def cutter() -> Iterator[Cutter]:
    """One for all tests that change nothing."""
    with Cutter(device="cpu", fetch_allow=("127.0.0.0/8",)) as cutter:
        yield cutter


@pytest.fixture(scope="module")
def cutout(cutter: Cutter) -> Pixels:
    """What the photo becomes: uint8 (120, 161, 4)."""
    return cutter.cut(PHOTO, returns="array")


# --- what goes in ---------------------------------------------------------------------------------------------------


def test_files_come_back_as_files(cutter: Cutter, cutout: Pixels, tmp_path: Path) -> None:
    """A path, its text, bytes of every kind, open files: PNG bytes."""
    path = tmp_path / "photo.png"
    path.write_bytes(PHOTO)
    sources: list[Any] = [path, str(path), PHOTO, bytearray(PHOTO), memoryview(PHOTO), io.BytesIO(PHOTO)]
    with path.open("rb") as file:
        sources.append(file)
        answers = [cutter.cut(source) for source in sources]

    assert all(answer.startswith(b"\x89PNG") for answer in answers)
    assert len(set(answers)) == 1
    assert np.array_equal(decode(answers[0]), cutout)


def test_a_url_is_fetched(cutter: Cutter, cutout: Pixels) -> None:
    """By the same guarded fetcher as the server's."""
    with site({"/photo.png": PHOTO}) as address:
        assert np.array_equal(cutter.cut(f"{address}/photo.png", returns="array"), cutout)


def test_private_addresses_are_not_fetched() -> None:
    """Unless they are allowed: the URL may be a stranger's."""
    with Cutter() as careful, site({"/photo.png": PHOTO}) as address, pytest.raises(ApiError) as caught:
        careful.cut(f"{address}/photo.png")

    assert caught.value.kind == "fetch_failed"


def test_arrays_come_back_as_arrays(cutter: Cutter, cutout: Pixels) -> None:
    """Nothing is lost on the way, wherever the rows lie; the answer can be written to."""
    wide = np.zeros((120, 200, 3), np.uint8)
    wide[:, :161] = ARRAY
    for source in (ARRAY, np.asfortranarray(ARRAY), wide[:, :161], ARRAY[:, ::-1][:, ::-1]):
        answer = cutter.cut(source)

        assert answer.flags.writeable
        assert np.array_equal(answer, cutout)


def test_an_arrays_alpha_is_kept(cutter: Cutter, cutout: Pixels) -> None:
    """It multiplies the result's, as a file's does."""
    clear = np.dstack([ARRAY, np.full((120, 161), 255, np.uint8)])
    clear[:, :80, 3] = 0

    answer = cutter.cut(clear)

    assert answer[:, :80, 3].max() == 0
    assert answer[60, 90, 3] == 255
    assert np.array_equal(answer, decode(cutter.cut(encode(clear, "PNG"))))


def _image(mode: str) -> PIL.Image.Image:
    image = PIL.Image.fromarray(ARRAY)
    if mode == "P transparent":
        image = image.convert("P")
        image.info["transparency"] = 0
        return image
    if mode == "I;16":
        return PIL.Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "P transparent", "CMYK", "1", "YCbCr", "HSV", "I;16"])
def test_images_of_every_mode_come_back_as_images(cutter: Cutter, mode: str) -> None:
    """Whatever Pillow holds."""
    answer = cutter.cut(_image(mode))

    assert (answer.mode, answer.size) == ("RGBA", (161, 120))


def test_images_are_their_pixels(cutter: Cutter, cutout: Pixels) -> None:
    """The same as the array, and as the file."""
    for image in (PIL.Image.fromarray(ARRAY), PIL.Image.open(io.BytesIO(PHOTO))):
        assert np.array_equal(np.asarray(cutter.cut(image)), cutout)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_images_are_turned_upright(cutter: Cutter, orientation: int) -> None:
    """As the file that they were opened from would be."""
    file = pictures.photo(160, 120, of=ball, orientation=orientation)
    with PIL.Image.open(io.BytesIO(file)) as image:
        assert np.array_equal(np.asarray(cutter.cut(image)), cutter.cut(file, returns="array"))


def test_a_profile_is_honoured(cutter: Cutter) -> None:
    """Colours of an image are those of the file that carries the same profile."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    image = PIL.Image.fromarray(ARRAY)
    image.info["icc_profile"] = profile

    file = bare_tiff(ARRAY, profile=profile)

    assert np.array_equal(np.asarray(cutter.cut(image)), cutter.cut(file, returns="array"))


# --- what comes out -------------------------------------------------------------------------------------------------


def test_returns_says_what_comes_back(cutter: Cutter, cutout: Pixels) -> None:
    """Whatever came in; mypy knows the types."""
    file = assert_type(cutter.cut(ARRAY, returns="bytes", format="tiff"), bytes)
    image = assert_type(cutter.cut(PHOTO, returns="image"), PIL.Image.Image)
    array = assert_type(cutter.cut(image, returns="array"), Pixels)

    assert np.array_equal(decode(file), cutout)
    assert np.array_equal(np.asarray(image), cutout)
    assert array.shape == cutout.shape


@pytest.mark.parametrize(
    ("options", "shape", "mode"),
    [
        ({"channels": "alpha"}, (120, 161), "L"),
        ({"channels": "rgb"}, (120, 161, 3), "RGB"),
        ({"background": "white"}, (120, 161, 3), "RGB"),
        ({"background": (255, 0, 0, 128)}, (120, 161, 4), "RGBA"),
        ({"width": 50, "height": 60}, (60, 50, 4), "RGBA"),
        ({"max_side": 80}, (60, 80, 4), "RGBA"),
    ],
)
def test_bands_are_what_is_needed(cutter: Cutter, options: Any, shape: tuple[int, ...], mode: str) -> None:
    """A mask has one, an opaque picture three; images have the mode that fits."""
    array = cutter.cut(ARRAY, **options)
    image = cutter.cut(PIL.Image.fromarray(ARRAY), **options)

    assert array.shape == shape
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), array)


def test_large_pictures_are_whole(cutter: Cutter) -> None:
    """More than the spool keeps in memory, drawn in strips."""
    large = ball(2600, 1900)

    assert np.array_equal(cutter.cut(large), decode(cutter.cut(large, returns="bytes")))


AS_THE_SERVER: list[dict[str, Any]] = [
    {},
    {"format": "jpg", "quality": 70},
    {"format": "jpg", "quality": ("fine", 70)},
    {"quality": "fine"},
    {"format": "auto", "background": "#fff"},
    {"format": "webp", "max_side": 90, "outline": 2.5, "outline_color": (0, 128, 255)},
    {"crop": True, "margin": ("5%", 3), "shadow": "drop", "shadow_opacity": 80},
    {"aspect": (4, 3), "background": (10, 20, 30)},
    {"scale": "80%", "position": ("20%", "80%"), "width": 200, "height": 200, "fit": "cover"},
    {"region": (10, 10, 150, 110), "background": "blur:30"},
    {"shadow_offset": (-4, 6.5), "shadow_blur": 10, "despill": True, "semitransparency": False},
    {"channels": "alpha", "max_megapixels": 0.01},
    {"format": "zip"},
]


def _wire(value: Any, colour: bool) -> str:
    """How a client would spell a value."""
    if isinstance(value, tuple) and colour:
        return "rgb({}, {}, {})".format(*value)
    if isinstance(value, tuple):
        return " ".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("options", AS_THE_SERVER, ids=str)
def test_the_answer_is_the_servers(cutter: Cutter, server: Served, options: dict[str, Any]) -> None:
    """Byte for byte, for the same options."""
    wire = {name: _wire(value, OPTIONS[name].holds_colour) for name, value in options.items()}
    if "aspect" in wire:
        wire["aspect"] = "4:3"
    answer = server.post("/cut/v1", files={"image": ("photo.png", PHOTO)}, data=wire)

    assert answer.status_code == 200, answer.text
    assert cutter.cut(PHOTO, **options) == answer.content


def test_a_background_picture_is_any_source(cutter: Cutter, tmp_path: Path) -> None:
    """As the photo is."""
    below = np.full((30, 40, 3), 200, np.uint8)
    path = tmp_path / "below.png"
    path.write_bytes(encode(below, "PNG"))
    with site({"/below.png": path.read_bytes()}) as address:
        grounds: list[Any] = [below, PIL.Image.fromarray(below), path, path.read_bytes(), f"{address}/below.png"]
        answers = [cutter.cut(ARRAY, background_image=ground) for ground in grounds]
        answers.append(cutter.cut(ARRAY, background_url=f"{address}/below.png", background_fit="fill"))

    assert all(answer[0, 0].tolist() == [200, 200, 200] for answer in answers)


def test_none_is_the_default(cutter: Cutter, cutout: Pixels) -> None:
    """A wrapper may pass on what it was not given."""
    assert np.array_equal(cutter.cut(ARRAY, background=None, crop=None, background_image=None), cutout)


def test_every_option_is_typed() -> None:
    """``CutOptions`` has the table's names, and its words where the list is closed."""
    hints = get_type_hints(CutOptions, localns={"Picture": Any})
    grounds = {name for name, field in PICTURES.items() if name.startswith("background") and field.kind != "base64"}

    assert set(hints) == {*OPTIONS, *grounds}
    for name, option in OPTIONS.items():
        words = [word for part in get_args(hints[name]) for word in get_args(part) if isinstance(word, str)]
        assert set(option.choices) - set(words) == set() if option.choices else not words, name
        assert all(option.reader.parse(word) is not None for word in words), name


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "options", "kind", "words"),
    [
        (PHOTO, {"quality": 0}, "invalid_option", "whole number from 1 to 100, or both, got '0'."),
        (PHOTO, {"background": (1, 2)}, "invalid_option", "background: expected none, blur"),
        (PHOTO, {"background": (1, 2, 300)}, "invalid_option", "background: expected none, blur"),
        (PHOTO, {"crop": object()}, "invalid_option", "crop: expected true"),
        (PHOTO, {"scale": 0.5}, "invalid_option", "scale: expected original or 1% to 100%, got '0.5'."),
        (PHOTO, {"background": "red", "background_image": PHOTO}, "multiple_grounds", "More than one background"),
        (PHOTO, {"background_image": b"nothing"}, "ground_failed", "Background: "),
        (PHOTO, {"region": "0 0 1000 1000"}, "region_out_of_bounds", "leaves the picture"),
        (PHOTO, {"returns": "picture"}, "invalid_option", "returns: expected bytes, image or array"),
        (ARRAY, {"format": "jpg"}, "invalid_option", "format: expected nothing beside returns='array'"),
        (PHOTO, {"quality": ("fine", 0)}, "invalid_option", "or both, got 'fine 0'."),
        (ARRAY, {"quality": "fine 3"}, "invalid_option", "quality: expected nothing beside returns='array'"),
        (ARRAY, {"quality": 3}, "invalid_option", "quality: expected nothing beside returns='array'"),
        (b"no picture", {}, "unreadable_image", "not a picture"),
        (PHOTO[:500], {}, "unreadable_image", "truncated"),
        (ARRAY[..., 0], {}, "invalid_option", "source: expected an array of uint8"),
        (ARRAY[..., :2], {}, "invalid_option", "source: expected an array of uint8"),
        (ARRAY[:0], {}, "invalid_option", "source: expected an array of uint8"),
        (ARRAY / 255, {}, "invalid_option", "got 'float64 (120, 161, 3)'"),
    ],
)  # fmt: skip
def test_refusals_say_why(cutter: Cutter, source: Any, options: dict[str, Any], kind: str, words: str) -> None:
    """In the words that the server would use."""
    with pytest.raises(ApiError) as caught:
        cutter.cut(source, **options)

    assert caught.value.kind == kind
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (PHOTO, {"colour": "red"}, "'colour' is no option; there are format, quality"),
        (17, {}, "source: expected a path, a URL, bytes, a binary file, a Pillow image or a numpy array, got int"),
        (io.StringIO("text"), {}, "got StringIO"),
        (PHOTO, {"background_image": 3.5}, "background_image: expected a path"),
    ],
)
def test_mistakes_in_the_program_are_type_errors(
    cutter: Cutter, source: Any, options: dict[str, Any], words: str
) -> None:
    """Not the picture's fault."""
    with pytest.raises(TypeError, match=words.replace("'", ".")):
        cutter.cut(source, **options)


def test_a_missing_file_is_an_os_error(cutter: Cutter, tmp_path: Path) -> None:
    """Python's own."""
    with pytest.raises(FileNotFoundError):
        cutter.cut(tmp_path / "nothing.jpg")


def test_large_photos_are_refused_by_their_header() -> None:
    """``max_megapixels``."""
    with Cutter(max_megapixels=0.01) as small, pytest.raises(ApiError) as caught:
        small.cut(ARRAY)

    assert caught.value.kind == "too_many_pixels"


def _threads() -> int:
    """Workshops' own."""
    return sum(thread.name == "bgone" for thread in threading.enumerate())


@pytest.mark.parametrize(
    "settings", [{"model": "nobody-knows"}, {"model": "/no/such.onnx"}, {"fetch_allow": ("somewhere",)}]
)
def test_a_cutter_that_cannot_open_says_why(settings: dict[str, Any]) -> None:
    """Each time that it is tried; no thread stays behind."""
    before = _threads()
    broken = Cutter(**settings)
    for _ in range(2):
        with pytest.raises(StartError):
            broken.cut(PHOTO)
    broken.close()

    assert _threads() == before


# --- many at once ---------------------------------------------------------------------------------------------------


def test_threads_share_a_cutter(cutter: Cutter) -> None:
    """Each gets its own picture."""
    photos = [ball(80 + 7 * n, 60 + 5 * n, seed=n) for n in range(24)]
    alone = [cutter.cut(photo) for photo in photos]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(cutter.cut, photos))

    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_what_does_not_fit_into_memory_waits() -> None:
    """A server would refuse; here everybody gets a picture."""
    with Cutter(threads=2) as narrow, ThreadPoolExecutor(6) as pool:
        narrow._opened()._studio.budget.limit_bytes = 1
        answers = list(pool.map(lambda _: narrow.cut(ARRAY), range(12)))

        assert len({answer.tobytes() for answer in answers}) == 1
        assert narrow._opened()._studio.budget.held_bytes == 0


def test_a_failure_leaves_nothing_held(cutter: Cutter) -> None:
    """Memory, seats."""
    for _ in range(20):
        with pytest.raises(ApiError):
            cutter.cut(PHOTO[:500])
    workshop = cutter._opened()

    assert workshop._studio.budget.held_bytes == 0
    assert workshop._studio.seats.busy == 0
    assert workshop._inside == 0


def test_tasks_share_a_cutter(cutout: Pixels) -> None:
    """The async twin; mypy knows the types."""

    async def main() -> list[Pixels]:
        async with AsyncCutter(device="cpu") as cutter:
            assert cutter.device == "CPUExecutionProvider"
            file = assert_type(await cutter.cut(PHOTO), bytes)
            image = assert_type(await cutter.cut(PIL.Image.fromarray(ARRAY)), PIL.Image.Image)
            arrays = await asyncio.gather(*(cutter.cut(ARRAY) for _ in range(12)))
            return [*arrays, decode(file), np.asarray(image)]

    assert all(np.array_equal(answer, cutout) for answer in asyncio.run(main()))


def test_a_cancelled_task_leaves_nothing_held() -> None:
    """And the others go on."""

    async def main() -> None:
        async with AsyncCutter(threads=1) as cutter:
            tasks = [asyncio.create_task(cutter.cut(ball(900, 700))) for _ in range(8)]
            await asyncio.sleep(0)  # all are handed in, and no answer can be back
            for task in tasks[1::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[1::2])
            assert all(isinstance(answer, np.ndarray) for answer in answers[::2])

            tasks = [asyncio.create_task(cutter.cut(ball(900, 700))) for _ in range(8)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:  # some wait, some are being worked on
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            workshop = cutter._cutter._opened()
            await cutter.cut(ARRAY)
        assert workshop._studio.budget.held_bytes == 0
        assert workshop._inside == 0

    asyncio.run(main())


# --- the end --------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_under_way(cutout: Pixels) -> None:
    """Nobody who was let in goes empty-handed."""
    closing = Cutter(device="cpu")
    closing.open()
    futures = [closing._submit(ARRAY, None, {}) for _ in range(6)]

    closing.close()

    assert all(np.array_equal(future.result(timeout=60), cutout) for future in futures)
    assert closing._workshop is None


def test_a_closed_cutter_says_so() -> None:
    """Opened before or not; twice does no harm."""
    never_opened, used = Cutter(), Cutter()
    used.cut(ARRAY)
    for cutter in (never_opened, used):
        cutter.close()
        cutter.close()
        with pytest.raises(RuntimeError, match="closed"):
            cutter.cut(ARRAY)


def test_one_call_needs_no_cutter(cutout: Pixels) -> None:
    """``from bgone import cut``; by whichever runtime ``auto`` takes here, so not to the last digit."""
    pixels = assert_type(cut(ARRAY), Pixels)

    assert np.abs(pixels.astype(int) - cutout).mean() < 1


def run(code: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, warnings shown."""
    command = [sys.executable, "-W", "always", "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


def test_importing_is_light() -> None:
    """Neither pixels, nets, the web nor an event loop are loaded before the first picture."""
    heavy = (
        "numpy",
        "cv2",
        "pyvips",
        "PIL",
        "onnxruntime",
        "starlette",
        "asyncio",
        "httpx2",
        "structlog",
    )
    names = "cut, Cutter, AsyncCutter, ApiError"
    code = f"from bgone import {names}; import sys; print([name for name in {heavy} if name in sys.modules])"

    assert run(code).stdout.strip() == "[]"


def test_a_program_ends_by_itself() -> None:
    """Nobody has closed anything: no hanging thread, no complaint, nothing lost."""
    code = (
        "import numpy as np; from bgone import cut, Cutter\n"
        "array = np.zeros((40, 61, 3), np.uint8)\n"
        "kept = Cutter(); print(cut(array).shape, kept.cut(array).shape); Cutter().cut(array)"
    )
    done = run(code)

    assert (done.returncode, done.stdout, done.stderr) == (0, "(40, 61, 4) (40, 61, 4)\n", "")


def test_a_forked_child_is_told_what_to_do() -> None:
    """It would hang else: threads of libvips and ONNX Runtime do not come along. The parent goes on."""
    code = (
        "import os; import numpy as np; from bgone import cut, Cutter\n"
        "array = np.zeros((40, 61, 3), np.uint8); cut(array); kept = Cutter(); kept.cut(array)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    kept.close(); told = []\n"
        "    for attempt in (cut, Cutter().cut, kept.cut):\n"
        "        try: attempt(array)\n"
        "        except RuntimeError as error: told.append(str(error))\n"
        "    os._exit(0 if len(told) == 3 and 'forked' in told[0] and 'closed' in told[2] else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cut(array).shape, kept.cut(array).shape)"
    )
    done = run(code)

    assert (done.returncode, done.stdout) == (0, "0 (40, 61, 4) (40, 61, 4)\n"), done.stderr


def test_a_fork_before_the_first_picture_is_fine() -> None:
    """Children and parent open their own."""
    code = (
        "import os; import numpy as np; from bgone import cut\n"
        "array = np.zeros((40, 61, 3), np.uint8)\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if cut(array).shape == (40, 61, 4) else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cut(array).shape)"
    )
    done = run(code)

    assert (done.returncode, done.stdout) == (0, "0 (40, 61, 4)\n"), done.stderr


def test_the_pages_programs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of docs/library.md, one after the other."""
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(pictures.photo(161, 120, of=ball))
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(pictures.photo(80, 60, of=ball))
    names: dict[str, Any] = {"asyncio": asyncio}
    for program in programs:
        done = eval(compile(program, "docs/library.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if done is not None:
            asyncio.run(done)

    assert len(programs) == 4
    assert decode((tmp_path / "cutout.png").read_bytes()).shape == (120, 161, 4)
    assert names["white"].startswith(b"RIFF")
    assert len(names["pictures"]) == len(list((tmp_path / "photos").glob("*.png"))) == 2


def test_the_package_is_typed() -> None:
    """Type checkers of others read our types."""
    assert (Path(bgone.__file__).parent / "py.typed").is_file()
    assert set(bgone.__all__) <= set(dir(bgone))
