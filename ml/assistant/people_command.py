"""`eufcc assistant user add|list|revoke`: the named tokens of the people at the desk."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ml.assistant.decisions import DATABASE, database_of
from ml.assistant.people import DAYS, ROLES, TokenError, list_tokens, make_token, revoke_tokens
from ml.assistant.store import DatabaseError, Store


def main(arguments: Sequence[str]) -> int:
    """Make, list or revoke tokens. Returns 1, with one sentence on stderr, if that is not possible."""
    options = _parser().parse_args(arguments)
    try:
        with closing(Store(options.database or database_of(options.storage))) as store:
            options.run(store, options)
    except (TokenError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _add(store: Store, options: argparse.Namespace) -> None:
    token = make_token(store, options.name, options.role, options.days)
    made = list_tokens(store)[-1]
    print(f"{made.name} ({made.role}), valid until {made.expires_at:%Y-%m-%d}. The token is shown only now:")
    print(token)


def _list(store: Store, options: argparse.Namespace) -> None:
    people = list_tokens(store)
    now = store.clock()
    for each in people:
        print(f"{each.state(now):8} until {each.expires_at:%Y-%m-%d}  {each.role:10}  {shlex.quote(each.name)}")
    if not people:
        print("There are no named tokens yet. Make one: eufcc assistant user add NAME --role cataloguer")


def _revoke(store: Store, options: argparse.Namespace) -> None:
    n = revoke_tokens(store, options.name)
    print(f"{options.name}: {n} token{'' if n == 1 else 's'} revoked. A running desk knows it within seconds.")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--storage", type=Path, required=True, help=argparse.SUPPRESS)
    common.add_argument("--database", metavar="URL", help=f"SQLAlchemy URL (default: ${DATABASE}, or SQLite)")
    parser = argparse.ArgumentParser(prog="eufcc assistant user", description="Named tokens for the desk.")
    commands = parser.add_subparsers(required=True, metavar="add|list|revoke")
    add = commands.add_parser("add", parents=[common], help="make a token for a person, and print it once")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default="cataloguer", help="default: %(default)s")
    add.add_argument("--days", type=int, default=DAYS, help="how long it is valid (default: %(default)s)")
    add.set_defaults(run=_add)
    commands.add_parser("list", parents=[common], help="who has a token").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", parents=[common], help="revoke a person's tokens")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke)
    return parser
