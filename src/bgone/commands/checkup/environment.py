"""What was said to the server: variables that nothing reads, and settings that have no effect or too much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from bgone.commands.checkup.finding import Finding, ok, warning
from bgone.pipeline.addresses import parse_networks
from bgone.settings import Settings

# Read elsewhere: by `bgone cut`, and by the tests.
OTHERS = ("BGONE_SERVER", "BGONE_API_KEY", "BGONE_SHARED")


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Misspelled names."""
    known = [f"BGONE_{name.upper()}" for name in Settings.__struct_fields__]
    strange = sorted(name for name in environment if name.startswith("BGONE_") and name not in (*known, *OTHERS))
    for name in strange:
        near = get_close_matches(name, (*known, *OTHERS), 1)
        yield warning("variables", f"{name} is read by nothing", f"perhaps {near[0]}" if near else "remove it")
    if not strange:
        said = sum(name in known for name in environment)
        yield ok("variables", f"{said} settings from the environment, none misspelled")


def settings_without_effect(settings: Settings) -> Iterator[Finding]:
    """Settings that others make void, and those that open more than people think."""
    void = list(_void(settings))
    yield from (warning("settings", words, cure) for words, cure in void)
    wide = [network for network in parse_networks(",".join(settings.fetch_allow)) if network.prefixlen == 0]
    if wide:
        cure = "name the networks that pictures come from, as 10.1.2.0/24"
        yield warning("fetch allow list", f"{wide[0]} lets URLs reach everything inside", cure)
    else:
        words = ", ".join(settings.fetch_allow) or "empty: URLs reach public addresses only"
        yield ok("fetch allow list", words)
    if not void:
        yield ok("settings", "all that is said has an effect")


def _void(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.auth == "none" and (settings.api_keys or settings.has_accounts):
        yield "BGONE_AUTH=none serves everybody: keys and accounts have no effect", "set BGONE_AUTH=auto"
    if settings.auth == "none" and settings.host not in ("127.0.0.1", "::1", "localhost"):
        yield f"{settings.host} is open to whoever reaches it", "set BGONE_AUTH=required and make keys"
    if not settings.counts_calls:
        for name in ("limits_url", "limits_plans", "limits_outage"):
            if getattr(settings, name) != getattr(Settings(), name):
                yield f"BGONE_{name.upper()} has no effect: calls are not counted", "set BGONE_RATE_LIMITS=on"
    if settings.has_accounts and settings.webhook_secret:
        yield "BGONE_WEBHOOK_SECRET has no effect: accounts have their own", "remove it"
    if settings.models_dir and not Path(settings.models_dir).is_dir():
        yield f"BGONE_MODELS_DIR: {settings.models_dir} is no folder", "make it, or remove the setting"
    if settings.low_memory and settings.device == "cuda":
        yield "BGONE_LOW_MEMORY concerns the CPU's memory, not the GPU's", "remove it"
