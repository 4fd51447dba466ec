"""Writes gatebook(1), the manual page, from the commands: python -m gatebook.tools.manual"""

from __future__ import annotations

import re
import sys

import click

from gatebook.store.commands import RELEASE
from gatebook.tools.main import gatebook

_SENTENCE = re.compile(r"(?<=[a-z)][.?]) (?=[A-Z])")
"""mdoc(7) wants each sentence on a line of its own."""

HEAD = """\
.Dd November 22, 2026
.Dt GATEBOOK 1
.Os
.Sh NAME
.Nm gatebook
.Nd an authentication service whose database is its audit trail
.Sh SYNOPSIS
.Nm
.Op Fl -config Ar FILE
.Op Fl -server Ar URL
.Op Fl -json
.Op Fl -quiet
.Op Fl -yes
.Ar command
.Op Ar argument ...
.Sh DESCRIPTION
One program: the server, and every command that works on its store or through its API.
Without
.Fl -server
a command opens the store that the configuration names, whether a server runs or not.
Secrets are asked for or read from standard input or a file, never taken as an argument.
Every command that changes something, or reads past the API, is an event in the log.
.Sh COMMANDS
"""
TAIL = """\
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev GATEBOOK_CONFIG
The configuration file, where
.Fl -config
is not given.
.It Ev GATEBOOK_SERVER
A server's URL, where
.Fl -server
is not given.
.It Ev GATEBOOK_TOKEN
The access token for that server.
.It Ev SSL_CERT_FILE
Certificates to trust in that server, in the place of the system's.
.It Ev GATEBOOK__SECTION__KEY
Overrides a key of the configuration.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Done.
.It 1
Refused, or found wrong.
.It 2
Used wrongly.
.It 3
The store or the network is not available.
.It 78
The configuration or the start was refused.
.El
.Sh SEE ALSO
RUNBOOK.md, in the source and at the side of every release.
"""


def page() -> str:
    """The manual page, in mdoc(7)."""
    lines = [HEAD, ".Bl -tag -width Ds\n"]
    for words, command in _commands(gatebook, ()):
        lines.append(f".It {_marked(words, command)}\n{_escaped(command.help or '')}\n")
        options = [one for one in command.params if isinstance(one, click.Option)]
        if options:
            lines.append(".Bl -tag -width Ds -compact\n")
            for option in options:
                told = f"{_escaped(option.help)}\n" if option.help else ""
                lines.append(f".It {_option(option)}\n{told}")
            lines.append(".El\n")
    return "".join([*lines, ".El\n", TAIL, f".Sh VERSION\n{RELEASE}\n"])


def _commands(
    group: click.Group, above: tuple[str, ...]
) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in sorted(group.commands):
        command = group.commands[name]
        words = (*above, name)
        if isinstance(command, click.Group):
            found += _commands(command, words)
        else:
            found.append((words, command))
    return found


def _marked(words: tuple[str, ...], command: click.Command) -> str:
    """A command with all that it cannot do without, and whether there is more."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    shown = "".join(f" {_option(one)}" for one in options if one.required)
    shown += "".join(f" Ar {one.make_metavar(click.Context(command))}" for one in arguments)
    more = " Op Ar option ..." if any(not one.required for one in options) else ""
    return f"Cm {' '.join(words)}{shown}{more}"


def _option(option: click.Option) -> str:
    """An option as it is given: `-n N`, `--name VALUE`, `--this | --no-this`."""
    names = [*option.opts, *option.secondary_opts]
    if any(name.startswith("--") and len(name) > 3 for name in names):
        names = [name for name in names if name.startswith("--")]
    else:
        names = names[:1]
    shown = " | ".join(f"Fl {name[1:]}" for name in names)
    if option.is_flag or option.count:
        return shown
    value = option.make_metavar(click.Context(click.Command("")))
    if option.metavar is None and value.startswith("INTEGER"):
        value = "N"
    return f"{shown} Ar {value}" + (" ..." if option.multiple else "")


def _escaped(text: str) -> str:
    """Help as roff takes it: no line may begin with a dot or a quote."""
    parts = [" ".join(part.split()) for part in text.replace("\\", "\\e").split("\n\n")]
    lines = [_SENTENCE.sub("\n", part) for part in parts]
    return "\n.Pp\n".join(f"\\&{line}" if line[:1] in ".'" else line for line in lines if line)


if __name__ == "__main__":
    sys.stdout.write(page())
