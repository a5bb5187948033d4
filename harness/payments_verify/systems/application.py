"""The application as it is shipped, in this process: with its tokens, limits, metrics and logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from payments_core.application.ports import PaymentStore
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints import tokens
from payments_verify.binding import BoundClient, own_client
from payments_verify.surface import FirstAnswers, Witness
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.copies import wiring_of


@dataclass(frozen=True)
class OwnTokens:
    """Tokens that a service is made with.

    Attributes:
        own: the one that its requests have, which allows everything.
        of_scope: one of each scope alone, by the scope's name.
        accepted: the hashes of all, as the service is given them.
    """

    own: str
    of_scope: Mapping[str, str]
    accepted: str

    @classmethod
    def make(cls) -> OwnTokens:
        """Tokens that nobody has had."""
        own, digest = tokens.make()
        scopes = {scope: tokens.make() for scope in tokens.TokenScope}
        entries = [tokens.entry(hashed, [scope]) for scope, (_, hashed) in scopes.items()]
        of_scope = {scope.value: token for scope, (token, _) in scopes.items()}
        return cls(own, of_scope, ",".join([digest, *entries]))


def application_client(store: PaymentStore, max_stored_refusals: int = MAX_STORED_REFUSALS) -> BoundClient:
    """A client of the application over ``store``, with a token that it accepts."""
    return own_client(witnessed(store, max_stored_refusals))


def witnessed(
    store: PaymentStore,
    max_stored_refusals: int = MAX_STORED_REFUSALS,
    first: FirstAnswers | None = None,
    made_tokens: OwnTokens | None = None,
    instance: int = 0,
    max_requests: int | None = None,
) -> Witness:
    """The application over ``store`` as a process of its own, with tokens, and its witness.

    Args:
        store: where its payments are.
        max_stored_refusals: how many refused captures of a payment are stored.
        first: the first answers, which all processes repeat.
        made_tokens: its tokens; new ones if not given.
        instance: whose modules it is made of, see `wiring_of`.
        max_requests: how many requests it serves at a time; as many as a process does if not given.
    """
    made_tokens = made_tokens or OwnTokens.make()
    wiring = wiring_of(instance)
    metrics = wiring.Metrics()
    routes = [wiring.exposition(metrics)]
    app = wiring.create_app(store, routes=routes, max_stored_refusals=max_stored_refusals)
    limits = {} if max_requests is None else {"max_requests": max_requests}
    settings = wiring.Settings(tokens=made_tokens.accepted, tokens_file=None, **limits)
    served = wiring.guarded(app, settings, metrics)
    return Witness(ApplicationClient(served, {"Authorization": f"Bearer {made_tokens.own}"}), first)
