"""Raw rows are the pixels themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bgone.imaging.formats import FORMATS, RAW, find_format, open_writer, row_of, whole_picture_bytes
from bgone.imaging.png import Channels

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 61, 4), np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_rows_come_out_as_they_went_in(channels: Channels) -> None:
    """However many at a time, also of a larger array."""
    pieces: list[bytes] = []
    writer = open_writer(RAW, pieces.append, 61, 40, channels)
    rows = PIXELS[..., :channels]
    for at in range(0, 40, 9):
        writer.add(rows[at : at + 9].squeeze(-1) if channels == 1 else rows[at : at + 9])
    writer.finish()

    assert b"".join(pieces) == rows.tobytes()


def test_rows_that_do_not_fit_are_refused() -> None:
    """Too wide, too many, too few, of another type."""
    writer = open_writer(RAW, lambda _: None, 61, 40, 4)
    wrong: list[Any] = [PIXELS[:, :60], np.vstack([PIXELS, PIXELS]), PIXELS.astype(np.float32)]
    for rows in wrong:
        with pytest.raises(ValueError, match="left"):
            writer.add(rows)
    with pytest.raises(ValueError, match="missing"):
        writer.finish()


def test_no_request_can_name_it() -> None:
    """It is no file."""
    assert RAW not in FORMATS
    assert find_format(RAW) is None
    assert row_of(RAW).keeps_alpha
    assert row_of("png") is FORMATS["png"]
    assert whole_picture_bytes(RAW, 1000, 1000, 4) == 0
