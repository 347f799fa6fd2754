"""For everybody: by keyboard alone, read aloud, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.console.browser import Visit
from tests.api.console.conftest import Open
from tests.clients.install import node_packages
from tests.serving import Served

AXE = {"axe-core": "4.14.1"}
RUN_AXE = """async () => {
    const {passes, violations} = await axe.run(document);
    if (passes.length < 20) throw Error("the checker has looked at nothing");
    return violations.map(({id, impact, nodes}) => [impact, id, nodes.map((node) => node.html + node.failureSummary)]);
}"""
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's source."""
    return (node_packages("axe", AXE) / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("stage", ["start", "work", "error", "key"])
@pytest.mark.parametrize(
    "window",
    [{}, {"color_scheme": "dark"}, {"viewport": PHONE, "has_touch": True}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_serious(
    server: Served, opened: Open, axe: str, ball_photo: Path, tmp_path: Path, stage: str, window: dict[str, Any]
) -> None:
    """Names, roles, contrast and order, with every option unfolded."""
    with opened(server.url, script=axe, reduced_motion="reduce", **window) as console:
        console.open_groups()
        if stage == "work":
            console.add(ball_photo)
            console.ready()
            for group in ("colour", "blur", "picture"):
                console.page.locator(f"[name=ground][value={group}]").check(force=True)
        elif stage == "error":
            (tmp_path / "broken.jpg").write_bytes(b"broken")
            console.add(tmp_path / "broken.jpg")
            console.page.locator(".picture[data-state=failed]").wait_for()
        elif stage == "key":
            console.page.evaluate("document.querySelector('#key').hidden = false")
        for select, value in (("o-format", "jpg"), ("o-shadow", "offset"), ("o-position", "own")):
            console.page.locator(f"#{select}").select_option(value)
        console.page.get_by_label("Crop to the subject").check()
        found = console.page.evaluate(RUN_AXE)

    assert [finding for finding in found if finding[0] in ("serious", "critical")] == []
    assert found == []


def press(console: Visit, *keys: str) -> None:
    """One key after the other."""
    for key in keys:
        console.page.keyboard.press(key)


def tab_to(console: Visit, selector: str, key: str = "Tab") -> None:
    """Press a key until the focus is where it should be."""
    for _ in range(60):
        if console.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        press(console, key)
    raise AssertionError(f"{selector} is not reached by {key}")


def test_everything_is_done_by_keyboard(server: Served, opened: Open, ball_photo: Path) -> None:
    """Choose, compare, change, download, copy: not one click."""
    with opened(server.url, permissions=["clipboard-read", "clipboard-write"]) as console:
        press(console, "Tab")
        assert console.page.evaluate("document.activeElement.textContent") == "To the pictures"
        press(console, "Enter")
        tab_to(console, "#choose")
        with console.page.expect_file_chooser() as chooser:
            console.page.evaluate("0")  # a round trip: by then the browser knows that it opens no dialog of its own
            press(console, "Enter")
        chooser.value.set_files(ball_photo)
        console.ready()

        tab_to(console, "#slider")
        press(console, "ArrowRight", "ArrowRight")
        assert console.page.locator("#slider").input_value() == "52"
        tab_to(console, "#download", "Shift+Tab")
        with console.page.expect_download() as started:
            press(console, "Enter")
        assert started.value.suggested_filename == "ball 1-cutout.png"

        tab_to(console, "[name=ground]")
        before = console.page.locator("#after").get_attribute("src")
        press(console, "ArrowRight")
        assert console.page.locator("[name=ground][value=colour]").is_checked()
        console.page.wait_for_function("src => document.querySelector('#after').src !== src", arg=before)
        console.ready()

        tab_to(console, "#copy")
        press(console, "Enter")
        console.page.wait_for_function("() => document.querySelector('#said').textContent === 'Copied'")
        tab_to(console, "[role=tab]")
        press(console, "ArrowRight")
        assert console.page.locator("#tab-python").get_attribute("aria-selected") == "true"
        assert "import requests" in console.page.locator("#snippet").inner_text()
        copied = console.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -f ")
    assert "background=#ffffff" in copied


def test_focus_is_always_seen(console: Visit, ball_photo: Path) -> None:
    """Wherever Tab leads, something is drawn around it."""
    console.add(ball_photo)
    console.ready()
    console.open_groups()
    console.page.evaluate("document.activeElement.blur()")
    blind = """() => {
        const element = document.activeElement;
        if (element === document.body) return "";
        const others = element.id === "slider" ? [getComputedStyle(document.querySelector(".handle"), "::after")] : [];
        const near = element.nextElementSibling ? [getComputedStyle(element.nextElementSibling)] : [];
        const isSeen = [getComputedStyle(element), ...near, ...others].some(
            (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
        return isSeen ? "" : element.outerHTML;
    }"""
    seen = []
    for _ in range(60):
        press(console, "Tab")
        seen.append(console.page.evaluate("document.activeElement.id"))
        assert console.page.evaluate(blind) == ""
    assert {"theme", "choose", "slider", "copy"} <= set(seen)


@pytest.mark.parametrize("width", [320, 360, 768, 1024])
def test_nothing_stands_over_the_edge(server: Served, opened: Open, ball_photo: Path, width: int) -> None:
    """From a small phone to a laptop: no sideways scrolling, and the controls are large enough for a thumb."""
    with opened(server.url, viewport={"width": width, "height": 740}, has_touch=True) as console:
        console.add(ball_photo)
        console.ready()
        console.open_groups()
        console.page.locator("[data-preset=shop]").click()
        console.ready()
        overflow = console.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        small = console.page.evaluate(
            """[...document.querySelectorAll("button, .segments span, summary")]
                .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24)
                .map((one) => one.outerHTML)"""
        )

    assert overflow <= 0
    assert small == []


def ground_of(console: Visit) -> int:
    """How light the page is, 0 to 255."""
    colour = console.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return int(colour.partition("(")[2].partition(",")[0])


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_dark_and_light(server: Served, opened: Open, scheme: str, is_dark: bool) -> None:
    """As the system says, until the button says otherwise."""
    with opened(server.url, color_scheme=scheme) as console:
        button = console.page.get_by_role("button", name="Dark")
        assert (ground_of(console) < 64) is is_dark
        assert button.get_attribute("aria-pressed") == str(is_dark).lower()
        button.click()
        assert (ground_of(console) < 64) is not is_dark
        assert button.get_attribute("aria-pressed") == str(not is_dark).lower()


def test_errors_and_ends_are_read_aloud(console: Visit, pictures: Callable[[int], list[Path]]) -> None:
    """A polite region tells what happens elsewhere on the page."""
    region = console.page.locator("#said")
    assert region.get_attribute("role") == "status"
    console.add(*pictures(2))
    console.ready(2)

    assert "2 of 2" in region.inner_text()
