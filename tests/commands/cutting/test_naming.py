"""Where answers go."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgone.commands.cutting.destination import destination
from bgone.commands.cutting.naming import WORDS, Naming, check_template
from bgone.commands.cutting.sources import Source

SOURCE = Source("in/sub/photo.final.jpg", "photo.final.jpg", "sub", True, Path("in/sub/photo.final.jpg"))


@pytest.mark.parametrize(
    ("template", "target"),
    [
        ("{stem}.{format}", "out/sub/photo.final.png"),
        ("{name}.{format}", "out/sub/photo.final.jpg.png"),
        ("{stem}-{suffix}.{format}", "out/sub/photo.final-jpg.png"),
        ("{parent}_{stem}.png", "out/sub/sub_photo.final.png"),
        ("{index:04}.{format}", "out/sub/0007.png"),
        ("{format}/{stem}", "out/sub/png/photo.final"),
        ("same", "out/sub/same"),
    ],
)
def test_a_template_names_the_answers(template: str, target: str) -> None:
    """Below the answers' folder, in the source's own."""
    assert Naming(Path("out"), check_template(template)).target(SOURCE, 7, "png") == Path(target)


def test_without_a_folder_answers_lie_beside_their_sources() -> None:
    """Under another name."""
    assert destination(["a.jpg"], None, None, None, is_folder=False).naming.target(SOURCE, 1, "png") == Path(
        "in/sub/photo.final-cut.png"
    )


def test_a_url_has_no_folder_beside_it() -> None:
    """Its answer lies in the current one."""
    source = Source("https://example.com/x.jpg", "x.jpg")

    assert Naming(None, "{stem}.{format}").target(source, 1, "png") == Path("x.png")


@pytest.mark.parametrize(
    "template", ["", "{stam}", "{stem", "{0}", "{}", "{stem.__class__}", "../{stem}", "/x/{stem}", "a/"]
)
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    """With words that quote it."""
    with pytest.raises(ValueError, match="is no template") as caught:
        check_template(template)

    assert repr(template) in str(caught.value)


def test_every_word_can_be_used() -> None:
    """The table is what the template takes."""
    filled = Naming(Path("o"), " ".join(f"{{{word}}}" for word in WORDS)).target(SOURCE, 1, "png")

    assert filled == Path("o/sub/photo.final photo.final.jpg jpg sub png 1")


@pytest.mark.parametrize(
    ("names", "output", "template", "form", "expected"),
    [
        (["a.jpg"], "x.webp", None, None, ("x.webp", "webp")),
        (["a.jpg"], "x.JPEG", None, "jpg", ("x.JPEG", "jpg")),
        (["a.jpg"], "out", None, None, ("out/a.png", "png")),
        (["a.jpg"], "out.d/", None, "TIF", ("out.d/a.tiff", "tiff")),
        (["a.jpg", "b.jpg"], "out.png", None, None, ("out.png/a.png", "png")),
        (["a.jpg"], "out", "{stem}.webp", None, ("out/a.webp", "webp")),
        (["a.jpg"], None, "{stem}.avif", None, ("a.avif", "avif")),
        (["-"], "x.jpg", None, None, ("x.jpg", "jpg")),
        (["-"], "out/", None, None, ("out/stdin.png", "png")),
    ],
)
def test_output_and_format_agree(
    names: list[str], output: str | None, template: str | None, form: str | None, expected: tuple[str, str]
) -> None:
    """An ending makes a file of ``-o`` for one picture, and is its format."""
    place = destination(names, output, template, form, is_folder=False)
    source = Source("-", "stdin") if names == ["-"] else Source("a.jpg", "a.jpg", path=Path("a.jpg"))

    assert (str(place.naming.target(source, 1, place.endings[0])), place.format) == expected


def test_auto_may_be_png_or_jpg() -> None:
    """Which is known when the picture is there."""
    assert destination(["a.jpg"], "out/", None, "AUTO", is_folder=False).endings == ("png", "jpg")


@pytest.mark.parametrize(("names", "output"), [(["-"], None), (["-"], "-"), (["a.jpg"], "-")])
def test_a_dash_is_standard_output(names: list[str], output: str | None) -> None:
    """Standard input goes there by itself."""
    assert destination(names, output, None, None, is_folder=False).to_stdout


@pytest.mark.parametrize(
    ("names", "output", "template", "form", "words"),
    [
        (["a.jpg", "b.jpg"], "-", None, None, "standard output takes one picture"),
        (["a.jpg"], "x.jpg", None, "png", "format jpg, but --format says png"),
        (["a.jpg"], "x.xyz", None, None, "no format is called 'xyz'"),
        (["a.jpg"], "out", "{stem}.webp", "png", "format webp, but --format says png"),
        (["a.jpg", "b.jpg"], __file__, None, None, "is a file"),
    ],
)
def test_contradictions_are_told(
    names: list[str], output: str, template: str | None, form: str | None, words: str
) -> None:
    """Before anything is done."""
    with pytest.raises(ValueError, match=words):
        destination(names, output, template, form, is_folder=False)
