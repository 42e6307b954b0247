"""Who sends a request: by a named token, by the desk's own token, or by the header of an institution's proxy."""

import hmac

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from ml.assistant.people import NAME, NamedToken, People, Person
from ml.assistant.refusals import NO_TOKEN, NOT_SIGNED_IN, STORE_AWAY, TOKEN_EXPIRED, TOKEN_REVOKED
from pipeline.web_gate import Refusal

COOKIE = "assistant_token"
ANYONE = Person(None, "admin")  # on loopback without tokens, and with the token that all share


class Access:
    """Names the person behind a request.

    `token`: the one that all share. `people`: those with named tokens. `user_header`: the header in which a trusted
    proxy, which proves itself by the shared token, names the person who signed in there.
    """

    def __init__(self, token: str | None = None, people: People | None = None, user_header: str | None = None):
        self._token, self._people, self._user_header = token, people, user_header

    async def refresh(self) -> Refusal | None:
        """Read the named tokens again if it is time; a refusal if the database does not answer."""
        try:
            if self._people is not None:
                await self._people.refresh()
        except SQLAlchemyError:
            return STORE_AWAY
        return None

    @property
    def is_closed(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None or bool(self._people)

    def person(self, request: Request) -> Person | Refusal:
        """The person behind the request, or why it is refused."""
        if not self.is_closed:
            return ANYONE
        refusal = NO_TOKEN
        for given in _given(request):
            found = self.of_token(given, request)
            if isinstance(found, Person):
                return found
            refusal = found if found is not NO_TOKEN else refusal
        return refusal

    def of_token(self, given: str, request: Request) -> Person | Refusal:
        """The person with this token, or why it is refused."""
        if self._token is not None and hmac.compare_digest(given.encode(), self._token.encode()):
            return self._of_header(request) if self._user_header else ANYONE
        named = self._people.of_token(given) if self._people is not None else None
        return NO_TOKEN if named is None else self._of_row(named)

    def _of_row(self, named: NamedToken) -> Person | Refusal:
        assert self._people is not None
        state = named.state(self._people.now())
        if state == "valid":
            return Person(named.name, named.role, "token")
        return TOKEN_EXPIRED if state == "expired" else TOKEN_REVOKED

    def _of_header(self, request: Request) -> Person | Refusal:
        """The person whom the proxy names. The header counts from a trusted proxy only, and never without a name.

        Of two such headers, a visitor may have sent one: neither counts.
        """
        names = request.headers.getlist(self._user_header or "")
        name = _as_utf8(names[0].strip()) if len(names) == 1 else ""
        if not NAME.fullmatch(name) or not getattr(request.state, "from_proxy", False):
            return NOT_SIGNED_IN
        named = self._people.of_name(name) if self._people is not None else None
        if named is not None and named.revoked_at is not None:
            return TOKEN_REVOKED
        return Person(name, named.role if named else "cataloguer", "proxy")


def token_in_address(request: Request) -> str:
    """The token in the query of the page's address; no other address accepts it."""
    if request.method != "GET" or request.scope["path"] != "/":
        return ""
    return request.query_params.get("token", "")


def cookie_of(token: str, request: Request) -> str:
    """The Set-Cookie header that keeps a token until the browser ends; an empty token takes the cookie away."""
    secure = "; Secure" if request.url.scheme == "https" else ""
    gone = "" if token else "; Max-Age=0"
    return f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}{gone}"


def _given(request: Request) -> list[str]:
    """The tokens that a request carries: in its address first, which is the newest one of a person."""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    return [each for each in (token_in_address(request), bearer, request.cookies.get(COOKIE, "")) if each]


def _as_utf8(header: str) -> str:
    """The text of a header, which HTTP reads as Latin-1 and proxies mostly send as UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
