"""The people of the desk: named tokens with a role, kept as hashes in the assistant's database."""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ml.assistant.schema import tokens
from ml.assistant.store import Store, StoreError

Role = Literal["cataloguer", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ufffe\uffff]{1,100}")
DAYS = 365  # ours: how long a token is valid unless another time is asked for
MOST_DAYS = 3_660
REFRESH_S = 2.0  # a token that another process has revoked is accepted for at most this long


class TokenError(StoreError):
    """A token cannot be made or revoked; the message says why."""


@dataclass(frozen=True)
class Person:
    """Who sends a request. `name` is None where people type their names, and `by` says how they signed in."""

    name: str | None
    role: Role
    by: Literal["token", "proxy"] | None = None

    def may(self, role: Role) -> bool:
        """Whether the person has at least the rights of this role."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class NamedToken:
    """A token's row, without the token, which is not kept."""

    name: str
    role: Role
    token_hash: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """Whether it is accepted at this time."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if now < self.expires_at else "expired"


def make_token(store: Store, name: str, role: Role, days: int = DAYS) -> str:
    """A new token for a person. It is shown once: the database has its hash only. Raises TokenError."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise TokenError("A name has 1 to 100 characters, and no control characters.")
    if not 1 <= days <= MOST_DAYS:
        raise TokenError(f"A token is valid for 1 to {MOST_DAYS} days.")
    if any(each.name == name and each.state(store.clock()) == "valid" for each in list_tokens(store)):
        raise TokenError(f"{name} has a valid token already. Revoke it first: eufcc assistant user revoke {name!r}.")
    token, now = secrets.token_urlsafe(24), store.clock()
    row = {"name": name, "role": role, "token_hash": hash_of(token), "made_at": now}
    with store.writing() as connection:
        connection.execute(sa.insert(tokens).values(row | {"expires_at": now + timedelta(days=days)}))
    return token


def list_tokens(store: Store) -> list[NamedToken]:
    """All tokens ever made, in this order."""
    columns = [tokens.c[name] for name in NamedToken.__dataclass_fields__]
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(*columns).order_by(tokens.c.token_id))
        return [NamedToken(**row._mapping) for row in rows]


def revoke_tokens(store: Store, name: str) -> int:
    """Revoke the tokens of a person. Returns how many; raises TokenError if there is none to revoke."""
    this_person = (tokens.c.name == name.strip()) & tokens.c.revoked_at.is_(None)
    with store.writing() as connection:
        revoked = connection.execute(sa.update(tokens).where(this_person).values(revoked_at=store.clock())).rowcount
    if not revoked:
        raise TokenError(f"Nobody called {name!r} has a token; `eufcc assistant user list` shows all names.")
    return revoked


def hash_of(token: str) -> str:
    """The sha256 of a token. It needs no salt and no slow hash: a token is 24 random bytes, which nobody can guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class People:
    """The named tokens in memory, read again when they are older than `REFRESH_S`."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic):
        self._store, self._clock = store, clock
        self._by_hash: dict[str, NamedToken] = {}
        self._role_of: dict[str, NamedToken] = {}
        self._read_at: float | None = None

    async def refresh(self) -> None:
        """Read the tokens if it is time. Raises SQLAlchemy's errors, and then reads again at the next request."""
        if self._read_at is None or self._clock() - self._read_at > REFRESH_S:
            if self._read_at is not None:
                self._read_at = self._clock()  # meanwhile the other requests go on with what is known
            try:
                await asyncio.to_thread(self.read)
            except SQLAlchemyError:
                self._read_at = None
                raise

    def read(self) -> None:
        """Read the tokens now."""
        found = list_tokens(self._store)
        self._by_hash = {each.token_hash: each for each in found}
        self._role_of = {each.name: each for each in found}
        self._read_at = self._clock()

    def __len__(self) -> int:
        """How many tokens were ever made. A desk that has had named tokens is never open again."""
        return len(self._by_hash)

    def of_token(self, token: str) -> NamedToken | None:
        """The row of a token."""
        return self._by_hash.get(hash_of(token))

    def of_name(self, name: str) -> NamedToken | None:
        """The latest token of a person: it gives their role also where a proxy signs them in."""
        return self._role_of.get(name)

    def now(self) -> datetime:
        """The store's time."""
        return self._store.clock()
