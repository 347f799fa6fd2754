"""``bgone openapi``: the description of the HTTP API, for generators of clients and for reviews."""

from __future__ import annotations

import click


@click.command()
@click.option("--dialect", metavar="NAME", default="", help="Only this one's paths, as backgrounderase or removebg.")
@click.option(
    "--server", "server_url", metavar="URL", default="/", help="Where it is served; else wherever it is read."
)
def openapi(dialect: str, server_url: str) -> None:
    """Print the HTTP API as an OpenAPI 3.1 document, in JSON: what a server answers at /openapi.json."""
    import orjson

    from bgone.api.openapi.document import document
    from bgone.api.routes import DIALECTS

    names = [known.name for known in DIALECTS]
    if dialect and dialect not in names:
        raise click.BadParameter(f"{dialect!r} is none of {', '.join(names)}.", param_hint="--dialect")
    told = document(DIALECTS, server_url, dialect)
    click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), nl=False)
