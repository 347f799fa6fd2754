"""``bgone completion``: what makes a shell complete our commands, flags and words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_HOW = {
    "bash": '# In ~/.bashrc: eval "$(bgone completion bash)"',
    "zsh": '# In ~/.zshrc, after compinit: eval "$(bgone completion zsh)"',
    "fish": "# Once: bgone completion fish > ~/.config/fish/completions/bgone.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(tuple(_HOW)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes your shell complete bgone's commands."""
    kind = get_completion_class(shell)
    assert kind is not None
    # Not source(): bash's would ask for its version first, of whatever bash is in the path of this process.
    script = kind(context.find_root().command, {}, "bgone", "_BGONE_COMPLETE")
    click.echo(_HOW[shell])
    click.echo(script.source_template % script.source_vars())
