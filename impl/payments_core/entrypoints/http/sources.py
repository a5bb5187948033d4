"""Where requests may come from. Without tokens: from this machine, and no other site's page.

A token is what a stranger lacks, and what a page of another site cannot send. Where none is asked for, a
browser on this machine would act for every page that it shows: by requests across sites, and by a name of the
page's own that leads to this machine (DNS rebinding).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Scope

from payments_core.entrypoints.addresses import is_address, is_loopback
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.problems import ProblemType

_HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_THIS_SITE = frozenset({b"same-origin", b"none"})

Refusal = tuple[ProblemType, str]
Said = dict[bytes, list[bytes]]
"""What the fields that are looked at have, by their name."""


@dataclass(frozen=True)
class Unprotected:
    """Which requests are served where no token is needed.

    Attributes:
        names: that ``Host`` may have, in lower case, beside ``localhost`` and loopback addresses.
        is_open: whether what a path leads to is the same for everybody, so that other sites may link to it.
        any_address: whether other machines are served too, at any address of this one.
    """

    names: frozenset[str]
    is_open: Callable[[str], bool]
    any_address: bool = False

    def refusal(self, scope: Scope, said: Said, host: str | None) -> Refusal | None:
        """Why a request for ``host`` is refused; ``None`` if it is not."""
        if not self.any_address and not _is_local(scope):
            return problems.NOT_LOCAL, (
                "without tokens this service answers its own machine alone, at a loopback address; to serve "
                "others, set it up with tokens: payments-core token"
            )
        if host is not None and not self._is_ours(host):
            return problems.FOREIGN_HOST, (
                "without tokens this service answers to localhost and loopback addresses, and to names in "
                "PAYMENTS_ALLOWED_HOSTS"
            )
        if not self.is_open(scope["path"]) and _is_of_another_site(scope["scheme"], said):
            return problems.FOREIGN_ORIGIN, (
                "without tokens this service takes no requests from pages of other origins"
            )
        return None

    def _is_ours(self, host: str) -> bool:
        return is_loopback(host) or host in self.names or (self.any_address and is_address(host))


class Sources:
    """A guard that refuses requests without exactly one host; without tokens, also those from elsewhere.

    Args:
        unprotected: what is served without a token; ``None`` if everything needs one.
    """

    def __init__(self, unprotected: Unprotected | None) -> None:
        self._unprotected = unprotected

    def __call__(self, scope: Scope) -> Response | None:
        """The refusal of a request; ``None`` if it may come from there."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None and (hosts or scope["http_version"] != "1.0"):
            return problems.response(
                problems.INVALID_HOST, "send one Host header, with a name or address and perhaps a port"
            )
        if self._unprotected is None:
            return None
        host = None if found is None else found[1].decode().strip("[]").lower()
        refusal = self._unprotected.refusal(scope, _said(scope), host)
        return None if refusal is None else problems.response(*refusal)


def _is_local(scope: Scope) -> bool:
    """Whether both ends of the connection are this machine's alone: loopback addresses, or a Unix socket."""
    client, server = scope.get("client"), scope.get("server")
    if server is None:
        return False
    if client is None:
        return server[1] is None
    return is_loopback(client[0]) and is_loopback(server[0])


def _is_of_another_site(scheme: str, said: Said) -> bool:
    """Whether a browser says so; no page can make it say otherwise."""
    own = [b"%s://%s" % (scheme.encode(), host.lower()) for host in said[b"host"]]
    return any(origin.lower() not in own for origin in said[b"origin"]) or any(
        site not in _THIS_SITE for site in said[b"sec-fetch-site"]
    )


def _said(scope: Scope) -> Said:
    said: Said = {b"host": [], b"origin": [], b"sec-fetch-site": []}
    for name, value in scope["headers"]:
        if name in said:
            said[name].append(value)
    return said
