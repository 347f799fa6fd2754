"""``bgone accounts`` and ``bgone plans``: what operators type, and what they read."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgone.errors import StartError
from bgone.settings import load
from tests.commands.conftest import Run

Told = Callable[..., dict[str, Any]]

TRICKY = 'Robert\'); DROP TABLE accounts;-- "x" %s {0} ünï'


def database(tmp_path: Path) -> Path:
    """The file that the commands work on."""
    return tmp_path / "state" / "bgone.db"


# --- accounts -------------------------------------------------------------------------------------------------------


def test_create_tells_the_account(told: Told) -> None:
    """Amounts are decimal text, as they were typed."""
    made = told("accounts", "create", "shop", "--credits", "10.25", "--email", "a@b.example")

    facts = {name: made[name] for name in ("name", "email", "plan", "status", "balance", "payg", "subscription")}
    assert facts == {
        "name": "shop",
        "email": "a@b.example",
        "plan": "payg",
        "status": "active",
        "balance": "10.25",
        "payg": "10.25",
        "subscription": "0",
    }


def test_show_finds_by_name_and_by_id(told: Told) -> None:
    """The same account either way."""
    made = told("accounts", "create", "shop")

    assert told("accounts", "show", "shop") == made
    assert told("accounts", "show", made["id"]) == made


def test_show_prints_a_fact_a_line(bgone: Run) -> None:
    """Without --json people read it."""
    bgone("accounts", "create", "shop", "--credits", "3")

    lines = [line.split() for line in bgone("accounts", "show", "shop").stdout.splitlines()]
    assert ["balance", "3"] in lines
    assert ["email", "-"] in lines


def test_list_shows_every_account_by_name(bgone: Run, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one page of them."""
    monkeypatch.setattr("bgone.commands.accounts.PAGE", 2)
    for name in ("c", "a", "e", "b", "d"):
        bgone("accounts", "create", name)

    assert [account["name"] for account in told("accounts", "list")["accounts"]] == ["a", "b", "c", "d", "e"]
    assert [line.split()[0] for line in bgone("accounts", "list").stdout.splitlines()] == ["name", *"abcde"]


def test_credit_adds_and_takes(told: Told) -> None:
    """A minus sign is no option."""
    told("accounts", "create", "shop", "--credits", "1")

    assert told("accounts", "credit", "shop", "0.000001", "--reason", "gift")["balance"] == "1.000001"
    assert told("accounts", "credit", "shop", "-1")["balance"] == "0.000001"
    assert [entry["reason"] for entry in told("accounts", "ledger", "shop")["entries"]] == ["credit", "gift", "opening"]


def test_plan_begins_a_period(told: Told) -> None:
    """With the plan's credits beside those bought."""
    told("plans", "put", "pro", "--quota", "500")
    told("accounts", "create", "shop", "--credits", "2")

    account = told("accounts", "plan", "shop", "pro")
    assert (account["plan"], account["subscription"], account["balance"]) == ("pro", "500", "502")
    assert account["period_end"] > account["period_start"]


def test_bar_and_unbar(told: Told) -> None:
    """A barred account says so."""
    told("accounts", "create", "shop")

    assert told("accounts", "bar", "shop")["status"] == "barred"
    assert told("accounts", "unbar", "shop")["status"] == "active"


def test_audit_is_content_with_true_books(bgone: Run, told: Told) -> None:
    """Exit status 0."""
    told("accounts", "create", "shop", "--credits", "5")

    assert told("accounts", "audit") == {"balanced": True, "differences": []}
    assert bgone("accounts", "audit").stdout == "Every balance is the sum of its ledger.\n"


def test_audit_names_a_balance_that_differs(bgone: Run, told: Told, tmp_path: Path) -> None:
    """Exit status 1, with both sums."""
    made = told("accounts", "create", "shop", "--credits", "5")
    with sqlite3.connect(database(tmp_path)) as link:
        link.execute("UPDATE accounts SET payg = payg + 250000")
    link.close()

    done = bgone("accounts", "audit")
    assert done.exit_code == 1
    assert made["id"] in done.stdout
    assert "5.25 payg" in done.stdout
    done = bgone("accounts", "audit", "--json")
    assert done.exit_code == 1
    assert '"balanced": false' in done.stdout


def test_names_are_values_and_nothing_else(told: Told) -> None:
    """Quotes, percent signs and SQL in a name come back as they went in."""
    told("accounts", "create", TRICKY)

    assert told("accounts", "show", TRICKY)["name"] == TRICKY
    assert len(told("accounts", "list")["accounts"]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "shop"], 1, "name: expected one that is not taken, got 'shop'."),
        (["create", "new", "--credits", "-1"], 1, "credits: expected 0 or more"),
        (["create", "new", "--credits", "0.0000001"], 1, "no finer than a millionth"),
        (["create", "new", "--credits", "1.0000000000000000000000000000001"], 2, "no finer than a millionth"),
        (["create", "new", "--credits", "many"], 2, "--credits: expected a decimal number of credits"),
        (["create", "new", "--credits", "nan"], 2, "--credits: expected a decimal number of credits"),
        (["create", "new", "--credits", "1e999999999"], 2, "--credits: expected a decimal number of credits"),
        (["create", "two\r\nlines"], 1, "name: expected 1 to 200 printable characters"),
        (["create", "acc_me"], 1, "not beginning with acc_"),
        (["create", "new", "--plan", "gold"], 1, "plan: expected the name of a plan, got 'gold'."),
        (["show", "ghost"], 1, "There is no such account (account 'ghost')."),
        (["show", "two\r\nlines"], 1, "There is no such account"),
        (["credit", "ghost", "1"], 1, "There is no such account (account 'ghost')."),
        (["credit", "shop", "0"], 1, "amount: expected a number of credits other than 0"),
        (["credit", "shop", "-9"], 1, "amount: expected at least -5"),
        (["credit", "shop", "1", "--reason", "hold"], 1, "reason: expected"),
        (["plan", "shop", "gold"], 1, "plan: expected the name of a plan"),
        (["bar", "ghost"], 1, "There is no such account"),
        (["ledger", "ghost"], 1, "There is no such account"),
        (["usage", "ghost"], 1, "There is no such account"),
        (["usage", "shop", "--since", "2026-02-30"], 2, "--since"),
        (["usage", "shop", "--since", "2026-02-03", "--until", "2026-02-01"], 2, "a day not after 2026-02-01"),
        (["usage", "shop", "--csv", "--json"], 2, "not both"),
    ],
)
def test_what_cannot_be_done_is_one_line(bgone: Run, arguments: list[str], status: int, words: str) -> None:
    """Exit status 1, or 2 where the words were wrong; the last line says why, and nothing is printed beside it."""
    bgone("accounts", "create", "shop", "--credits", "5")

    done = bgone("accounts", *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert words in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) == (1 if status == 1 else 4)


# --- usage ----------------------------------------------------------------------------------------------------------


def test_usage_tells_days(bgone: Run, told: Told, tmp_path: Path) -> None:
    """As a table, in JSON and in CSV."""
    account = told("accounts", "create", "shop")["id"]
    with sqlite3.connect(database(tmp_path)) as link:
        link.executemany(
            "INSERT INTO usage VALUES (?, ?, 'Ab3', 'removebg', 'live', ?, 1, 750000, 64)",
            [("2026-02-01", account, 4), ("2026-02-03", account, 5), ("2026-03-01", account, 9)],
        )
    link.close()
    asked = ("accounts", "usage", "shop", "--since", "2026-02-01", "--until", "2026-02-28")

    table = told(*asked)
    assert (table["since"], table["until"], table["account_id"]) == ("2026-02-01", "2026-02-28", account)
    assert [(day["day"], day["calls"], day["credits"]) for day in table["days"]] == [
        ("2026-02-01", 4, "0.75"),
        ("2026-02-03", 5, "0.75"),
    ]
    rows = list(csv.DictReader(io.StringIO(bgone(*asked, "--csv").stdout, newline="")))
    assert [(row["day"], row["calls"], row["credits"]) for row in rows] == [
        ("2026-02-01", "4", "0.75"),
        ("2026-02-03", "5", "0.75"),
    ]
    assert bgone(*asked).stdout.splitlines()[1].split() == [
        "2026-02-01",
        "Ab3",
        "removebg",
        "live",
        "4",
        "1",
        "0.75",
        "64",
    ]


# --- plans ----------------------------------------------------------------------------------------------------------


def test_plans_put_changes_what_is_said(told: Told) -> None:
    """The rest stays as it was."""
    rates = '{"poofbg": [{"per": "minute", "amount": 90}]}'
    made = told("plans", "put", "pro", "--quota", "500.5", "--rollover", "all", "--price", "removebg=0.5")
    changed = told("plans", "put", "pro", "--price", "poof.cut=2", "--rates", rates, "--months", "12")

    assert (made["quota"], made["rollover"], made["prices"]) == ("500.5", None, {"removebg": "0.5"})
    assert changed == {
        **made,
        "prices": {"poof.cut": "2"},
        "period_months": 12,
        "rates": {"poofbg": [{"per": "minute", "amount": 90, "scope": "account", "weight": "call"}]},
    }
    assert changed in told("plans", "list")["plans"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quota", "lots"], "quota: "),
        (["--quota", "-1"], "quota: expected 0 or more"),
        (["--quota", "1e400"], "quota: expected a decimal number"),
        (["--rollover", "some"], "rollover: "),
        (["--price", "removebg"], "prices"),
        (["--price", "Robert'); DROP=1"], "prices"),
        (["--rates", "{"], "--rates: expected JSON"),
        (["--rates", '{"poofbg": [{"per": "fortnight", "amount": 1}]}'], "rates"),
        (["--rates", '{"poofbg": [{"per": "minute", "amount": 0}]}'], "rates"),
        (["--months", "0"], "--months"),
        (["--free-calls", "-1"], "--free-calls"),
        (["--billing", "barter"], "--billing"),
    ],
)
def test_plans_that_cannot_be_are_refused(bgone: Run, told: Told, arguments: list[str], words: str) -> None:
    """One line, and nothing is written."""
    told("plans", "put", "other")
    done = bgone("plans", "put", "pro", *arguments)

    assert done.exit_code in (1, 2)
    assert words in done.stderr.splitlines()[-1]
    assert "pro" not in [plan["name"] for plan in told("plans", "list")["plans"]]


# --- which database -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["accounts", "list"], ["keys", "list"], ["plans", "list"], ["db", "current"]])
def test_looking_makes_no_database(bgone: Run, tmp_path: Path, arguments: list[str]) -> None:
    """A server that found one would want keys: only what begins with accounts makes it."""
    done = bgone(*arguments)

    assert isinstance(done.exception, StartError)
    assert "bgone accounts create" in str(done.exception)
    assert not database(tmp_path).exists()


def test_commands_ask_only_for_the_database(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on another address that still lacks its first key is why this command is run."""
    monkeypatch.setenv("BGONE_HOST", "0.0.0.0")
    with pytest.raises(StartError, match="accounts create"):
        load(os.environ)

    assert told("accounts", "create", "shop")["name"] == "shop"


def test_flag_wins_over_the_environment(told: Told, tmp_path: Path) -> None:
    """--database-url names another database."""
    there = f"sqlite+aiosqlite:///{tmp_path}/other.db"
    told("accounts", "create", "here")
    told("accounts", "create", "there", "--database-url", there)

    assert [each["name"] for each in told("accounts", "list", "--database-url", there)["accounts"]] == ["there"]
    assert [each["name"] for each in told("accounts", "list")["accounts"]] == ["here"]


@pytest.mark.parametrize("url", ["mysql://root@host/x", "nonsense", "sqlite+aiosqlite:////proc/no/such.db"])
def test_bad_address_is_a_start_error(bgone: Run, url: str) -> None:
    """As ``bgone serve`` says it."""
    assert isinstance(bgone("accounts", "list", "--database-url", url).exception, StartError)


def test_same_on_both_databases(told: Told, bgone: Run, address: str) -> None:
    """Accounts and keys by command, on SQLite and on PostgreSQL."""
    on = ("--database-url", address)
    told("plans", "put", "pro", "--quota", "7", *on)
    made = told("accounts", "create", TRICKY, "--credits", "0.25", "--plan", "pro", *on)
    key = told("keys", "create", "--account", TRICKY, "--prefix", "poof_", *on)

    assert told("accounts", "show", TRICKY, *on) == made
    assert told("accounts", "credit", made["id"], "-0.75", *on)["balance"] == "6.5"
    assert told("keys", "revoke", key["name"], *on)["revoked_at"] is not None
    assert told("accounts", "audit", *on)["balanced"]
    assert told("accounts", "usage", TRICKY, *on)["days"] == []
    assert bgone("accounts", "create", TRICKY, *on).exit_code == 1


# --- as a process ---------------------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``bgone ARGUMENTS`` as operators run it."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
    given |= {"BGONE_DATA_DIR": str(folder / "state"), **environment}
    command = [sys.executable, "-m", "bgone", *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_first_account_and_key_by_process(tmp_path: Path) -> None:
    """The secret alone is on standard output, and its file is its owner's only."""
    assert run(tmp_path, "accounts", "create", "shop", "--credits", "1").returncode == 0
    made = run(tmp_path, "keys", "create", "--account", "shop", "--prefix", "fnr_")

    secret = made.stdout.strip()
    assert made.returncode == 0
    assert secret.startswith("fnr_")
    assert len(made.stderr.splitlines()) == 1
    assert "x-api-key" in made.stderr
    assert secret not in made.stderr
    assert database(tmp_path).stat().st_mode & 0o777 == 0o600


def test_start_errors_end_with_78(tmp_path: Path) -> None:
    """One line and the exit status of ``bgone serve``; a password is not in it."""
    url = "postgresql+psycopg://user:secret-word@127.0.0.1:1/none?connect_timeout=1"
    done = run(tmp_path, "accounts", "list", BGONE_DATABASE_URL=url)

    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("bgone: ")
    assert len(done.stderr.splitlines()) == 1
    assert "secret-word" not in done.stderr


def test_help_loads_nothing_heavy() -> None:
    """``bgone --help`` and ``bgone accounts --help`` wait for no database, no web and no net."""
    heavy = ("sqlalchemy", "alembic", "starlette", "numpy", "msgspec", "limits")
    code = (
        "import sys; from click.testing import CliRunner; from bgone.__main__ import cli; "
        "[CliRunner().invoke(cli, [*group, '--help']) for group in ([], ['accounts'], ['keys', 'create'])]; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
