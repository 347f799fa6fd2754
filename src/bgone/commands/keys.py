"""``bgone keys``: what clients show; a secret is printed once, alone on standard output."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from bgone.commands.frame import as_json, ask, on_database, show, show_json, show_table

if TYPE_CHECKING:
    from bgone.accounts.books import Books
    from bgone.accounts.keys import Key, Mode

PAGE = 1000  # rows read at once
_SHOWN = ("name", "account_id", "mode", "fingerprint", "created_at", "expires_at", "revoked_at", "last_used_at")
_LONG = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MOST_S = 366 * 86_400 * 100


@click.group()
def keys() -> None:
    """Keys: create, list, rotate, revoke."""


@keys.command()
@click.option("--account", required=True, metavar="NAME", help="Whose key it is.")
@click.option("--prefix", default="", metavar="PREFIX", help="What it begins with, for instance sk_live_.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test", "admin"]),
    default="live",
    help="live, test (free, counted apart) or admin (for /admin/v1).  [default: live]",
)
@click.option("--expires", metavar="WHEN", help="Valid until then: 30d, 12h, 2027-01-31, 2027-01-31T12:00:00Z.")
@as_json
@on_database
def create(account: str, prefix: str, mode: Mode, expires: str | None, as_json: bool, database_url: str | None) -> None:
    """Make a key and print its secret, which cannot be read again."""
    expires_at = expiry(expires, datetime.now(UTC)) if expires else None

    async def make(books: Books) -> tuple[str, Key]:
        owner = await books.accounts.get(account)
        return await books.keys.create(owner.id, prefix=prefix, mode=mode, expires_at=expires_at)

    _show_new(ask(database_url, make), json=as_json)


@keys.command(name="list")
@click.option("--account", metavar="NAME", help="Only this account's.")
@as_json
@on_database
def show_all(account: str | None, as_json: bool, database_url: str | None) -> None:
    """Show keys without their secrets, newest first."""
    from bgone.api.admin_values import key_list

    async def every(books: Books) -> list[Key]:
        owner = "" if account is None else (await books.accounts.get(account)).id
        found: list[Key] = []
        while page := await books.keys.list(owner, PAGE, len(found)):
            found += page
        return found

    told = key_list(ask(database_url, every))
    if as_json:
        show_json(told)
    else:
        show_table(told.keys, _SHOWN)


@keys.command()
@click.argument("key", metavar="KEY_PREFIX")
@click.option("--overlap", default="24h", metavar="TIME", help="How long the old one stays valid.  [default: 24h]")
@as_json
@on_database
def rotate(key: str, overlap: str, as_json: bool, database_url: str | None) -> None:
    """Make a key like another, named by its beginning, and end that one after a while."""
    overlap_s = duration_s("--overlap", overlap)
    _show_new(ask(database_url, lambda books: books.keys.rotate(key, overlap_s)), json=as_json)


@keys.command()
@click.argument("key", metavar="KEY_PREFIX")
@as_json
@on_database
def revoke(key: str, as_json: bool, database_url: str | None) -> None:
    """End a key, named by its beginning: running servers refuse it within seconds."""
    from bgone.api.admin_values import key_facts

    show(key_facts(ask(database_url, lambda books: books.keys.revoke(key))), json=as_json)


def expiry(text: str, now: datetime) -> datetime:
    """When a key ends: so long after now, or at a moment (UTC where it does not say).

    Raises:
        click.BadParameter: It is neither, or not in the future.
    """
    if _LONG.fullmatch(text):
        return now + timedelta(seconds=duration_s("--expires", text))
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        is_later = moment > now
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"--expires: expected 30d, 12h or an ISO 8601 moment, got {text!r}.") from error
    if not is_later:
        raise click.BadParameter(f"--expires: expected a moment in the future, got {text!r}.")
    return moment


def duration_s(option: str, text: str) -> int:
    """Seconds of ``90s``, ``15m``, ``24h``, ``30d`` or ``2w``.

    Raises:
        click.BadParameter: It is none of these, or longer than a century.
    """
    said = _LONG.fullmatch(text)
    seconds = int(said[1]) * _UNITS[said[2]] if said else _MOST_S + 1
    if seconds > _MOST_S:
        raise click.BadParameter(f"{option}: expected a time such as 90s, 15m, 24h, 30d or 2w, got {text!r}.")
    return seconds


def _show_new(made: tuple[str, Key], *, json: bool) -> None:
    from bgone.api.admin_values import new_key

    told = new_key(made)
    if json:
        show_json(told)
        return
    # The secret alone on standard output: KEY=$(bgone keys create ...) works.
    click.echo(told.key)
    where = "to /admin/v1" if told.mode == "admin" else "or as your client does"
    click.echo(f"Shown this once: send it in the header x-api-key, {where}. It is called {told.name}.", err=True)
