"""The program `gatebook`: one family of commands a file, put together here."""

from __future__ import annotations

import logging
import sys

import click
from eventsourcing.persistence import PersistenceError

from gatebook.domain.errors import Overloaded, Refusal, StoreUnavailable
from gatebook.domain.event import UnreadableEvent
from gatebook.projections.errors import FoldFailed
from gatebook.store.commands import RELEASE
from gatebook.store.faults import StoreRefused
from gatebook.store.settings import ConfigurationError, StoreAway
from gatebook.tools import (
    accounts,
    api_keys,
    audit,
    break_glass,
    doctor,
    init,
    keys,
    oidc,
    projections,
    roles,
    serving,
    stores,
    tls,
    tokens,
)
from gatebook.tools.desk import (
    CONFIGURATION,
    DEFAULT_CONFIG,
    REFUSED,
    UNAVAILABLE,
    Desk,
    Failed,
    plain,
)

GLOBAL_FLAGS = frozenset({"--json", "--quiet", "--yes"})


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    envvar="GATEBOOK_CONFIG",
    default=DEFAULT_CONFIG,
    metavar="FILE",
    help="The configuration file; also GATEBOOK_CONFIG.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--quiet", is_flag=True, help="Say only what was asked for.")
@click.option("--yes", is_flag=True, help="Do not ask before what cannot be undone.")
@click.option(
    "--server",
    envvar="GATEBOOK_SERVER",
    metavar="URL",
    help="Go through the REST API of a running server; also GATEBOOK_SERVER.",
)
@click.version_option(RELEASE, prog_name="gatebook")
@click.pass_context
def gatebook(
    context: click.Context, config: str, as_json: bool, quiet: bool, yes: bool, server: str | None
) -> None:
    """An authentication service whose database is its audit trail."""
    context.obj = Desk(config=config, as_json=as_json, quiet=quiet, yes=yes, server=server)


for command in (
    *init.COMMANDS,
    *serving.COMMANDS,
    accounts.account,
    roles.role,
    tokens.token,
    api_keys.apikey,
    audit.audit,
    projections.projection,
    keys.key,
    break_glass.breakglass,
    oidc.oidc,
    tls.tls,
    stores.store,
    *doctor.COMMANDS,
):
    gatebook.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0, 1 refused, 2 usage, 3 unavailable, 78."""
    # Nobody set up logging here: a record would be a bare word on standard error.
    logging.getLogger("gatebook").addHandler(logging.NullHandler())
    words = _globals_first(sys.argv[1:] if arguments is None else arguments)
    try:
        code = gatebook.main(words, prog_name="gatebook", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        click.echo("gatebook: given up", err=True)
        return REFUSED
    except Failed as failure:
        failure.show()
        return failure.code
    except click.ClickException as failure:
        failure.show()
        return failure.exit_code
    except StoreAway as error:
        return _say(str(error), UNAVAILABLE)
    except ConfigurationError as error:
        return _say(str(error), CONFIGURATION)
    except (StoreUnavailable, Overloaded) as refusal:
        return _say(refusal.detail, UNAVAILABLE)
    except Refusal as refusal:
        return _say(refusal.detail, REFUSED)
    except PersistenceError as error:
        return _say(f"the store: {error}", UNAVAILABLE)
    except StoreRefused as error:
        return _say(str(error), CONFIGURATION)
    except (FoldFailed, UnreadableEvent) as error:
        return _say(str(error), REFUSED)
    except BrokenPipeError:
        return REFUSED
    return code if isinstance(code, int) else 0


def _globals_first(words: list[str]) -> list[str]:
    """Lets the global flags stand behind the command too, as scripts write them."""
    end = words.index("--") if "--" in words else len(words)
    flags = [word for word in words[:end] if word in GLOBAL_FLAGS]
    return flags + [word for word in words[:end] if word not in GLOBAL_FLAGS] + words[end:]


def _say(message: str, code: int) -> int:
    click.echo(f"gatebook: {plain(' '.join(message.split()))}", err=True)
    return code
