"""What a real server says of what runs its net, in log and metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bgone.matting.models import EMBEDDED
from tests import pictures
from tests.serving import Served, serve

PHOTO = pictures.photo(161, 120, of=pictures.ball)


def samples(served: Served, name: str) -> dict[str, float]:
    """Labels → value, of one metric."""
    lines = [line.rsplit(" ", 1) for line in served.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
    return {labels.removeprefix(name): float(value) for labels, value in lines}


def logged(served: Served, event: str) -> list[dict[str, object]]:
    """Log lines of one event."""
    return [line for line in served.log() if line["event"] == event]


@pytest.mark.parametrize("device", ["auto", "openvino", "cpu"])
def test_a_server_tells_what_really_runs_its_net(tmp_path: Path, device: str) -> None:
    """Provider and precision; of a choice: by which figures; the same in the log and in metrics."""
    with serve(tmp_path, device=device) as served:
        assert served.post("/v2", content=PHOTO).status_code == 200
        (ready,) = logged(served, "ready")
        checks = logged(served, "openvino checked")
        used = str(ready["device"])

        print(ready, checks)
        assert samples(served, "bgone_device") == {f'{{provider="{used}"}}': 1}
        results = samples(served, "bgone_openvino_check")
        ratios = samples(served, "bgone_openvino_check_ratio")

    if device == "auto":
        (check,) = checks
        assert results == {f'{{model="{EMBEDDED}",result="{check["result"]}"}}': 1}
        assert used.startswith("OpenVINO ") is (check["result"] == "taken")
        assert (check["result"] == "too_slow") is (ratios == {})
        assert str(check["words"]).endswith("used") or check["result"] == "too_slow"
    else:
        assert (checks, results, ratios) == ([], {}, {})
        assert re.fullmatch({"openvino": r"OpenVINO (f32|bf16|f16)", "cpu": "CPUExecutionProvider"}[device], used)
