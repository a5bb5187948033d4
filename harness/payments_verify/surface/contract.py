"""The contract of single requests: what is malformed or not allowed is refused so, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import msgspec

from payments_verify.binding import Response
from payments_verify.surface.answers import complaints, fields_of, members_of, problem_of, wrong_fields
from payments_verify.surface.asked_again import wrong_when_asked_again
from payments_verify.surface.exchange import Server
from payments_verify.surface.pages import broken_pages
from payments_verify.surface.places import wrong_places
from payments_verify.surface.rights import PERMISSIONS, challenges
from payments_verify.surface.variations import variations
from payments_verify.surface.wire import broken_on_the_wire
from payments_verify.surface.witness import Witness
from payments_verify.surface.written import JSON, PAYMENT, PENDING, UNKNOWN, Written, requests

_CREATED = 201
_EACH_APART = (*JSON, ("Connection", b"close"))
"""Of several workers any may be asked next."""
_WINDOW = b'{"capture_window_seconds": 86400}'
_AMOUNT = b'{"amount_cents": 500}'
_PAYMENT = f"/payments/{PAYMENT}"
_LOOKED_AT = (
    *(_PAYMENT, f"{_PAYMENT}/captures", "/payments?limit=1", "/payments?limit=200", f"/payments/{UNKNOWN}"),
    *(f"/payments/{UNKNOWN}/captures", "/payments/1", "/payments?limit=0", "/nowhere"),
)
_REQUEST_IDS = (b"a-request:1", b"0" * 64)
_NO_REQUEST_IDS = (b"0" * 65, b"a b", b"-a", b"")


async def broken_contract(
    witness: Witness, tokens: Mapping[str, str], server: Server | None = None
) -> str | None:
    """What a process answers otherwise than the contract says; ``None`` if nothing.

    Args:
        witness: of the process.
        tokens: a token of each scope alone, by the scope's name; none if the process asks for no tokens.
        server: where it listens, if it does.

    Raises:
        UnreadableAnswerError: an answer that is needed cannot be read.
    """
    ids = {PAYMENT: str(uuid4()), PENDING: str(uuid4()), UNKNOWN: str(uuid4())}
    made = await _made(witness, ids)
    wrong = await _first_wrong(witness, ids, requests())
    wrong = wrong or await _first_without_right(witness, ids, tokens)
    wrong = wrong or await _first_unlike_its_get(witness, ids)
    wrong = wrong or await _first_misnamed(witness, ids)
    if server is None:  # one by one over a socket they would take ten times as long
        wrong = wrong or await _first_wrong(witness, ids, variations()) or await wrong_places(witness)
        wrong = wrong or await broken_pages(witness) or await wrong_when_asked_again(witness, tokens)
    else:
        wrong = wrong or await broken_on_the_wire(witness, server, ids)
    # A request that was answered as it should be may have done something for all that.
    wrong = wrong or await _changed(witness, ids, made)
    await witness.write("POST", f"/payments/{ids[PAYMENT]}/fail", JSON, b'{"reason": "voided"}')
    return wrong or await _created_twice(witness)


async def _made(witness: Witness, ids: Mapping[str, str]) -> Sequence[bytes]:
    for name in (PAYMENT, PENDING):
        await witness.write("PUT", f"/payments/{ids[name]}", JSON, _AMOUNT)
    await witness.write("POST", f"/payments/{ids[PAYMENT]}/authorize", JSON, _WINDOW)
    return await _state(witness, ids)


async def _state(witness: Witness, ids: Mapping[str, str]) -> Sequence[bytes]:
    """What is stored of the payments, but for when it was looked at."""
    shown = []
    for payment in ids.values():
        for end in ("", "/captures"):
            answer = await witness.write("GET", f"/payments/{payment}{end}")
            document = members_of(f"GET /payments/{payment}{end}", answer)
            document.pop("as_of", None)
            shown.append(msgspec.json.encode(document))
    return shown


async def _changed(witness: Witness, ids: Mapping[str, str], made: Sequence[bytes]) -> str | None:
    now = await _state(witness, ids)
    for was, is_now in zip(made, now, strict=True):
        if was != is_now:
            return f"I11: what was refused, or only read, has changed {was.decode()} to {is_now.decode()}"
    return None


def _at(path: str, ids: Mapping[str, str]) -> str:
    for name, payment in ids.items():
        path = path.replace(name, payment)
    return path


async def _first_wrong(
    witness: Witness, ids: Mapping[str, str], asked: Iterator[Written], token: bytes | None = None
) -> str | None:
    for each in asked:
        written = replace(each, path=_at(each.path, ids))
        answer = await witness.write(written.method, written.path, written.fields, written.body, token=token)
        wrong = "; ".join(_differences(written, answer))
        if wrong:
            return f"{written.breaks}: {written}: {wrong}"
    return None


def _differences(asked: Written, answer: Response) -> Iterator[str]:
    if answer.status_code != asked.status:
        yield f"expected {asked.status} {asked.problem}, got {answer.status_code} {answer.text[:300]}"
        return
    if asked.method == "OPTIONS":
        yield from wrong_fields(fields_of(answer), dict(asked.shows))
        if answer.content:
            yield "there is a body"
        return
    if asked.problem and problem_of(answer) != asked.problem:
        yield f"expected the problem {asked.problem}, got {problem_of(answer) or answer.text[:300]!r}"
    yield from complaints(asked.method, asked.path, answer, dict(asked.shows))


async def _first_unlike_its_get(witness: Witness, ids: Mapping[str, str]) -> str | None:
    """HEAD has the status and the fields that GET has, whatever is looked at."""
    for path in (_at(each, ids) for each in _LOOKED_AT):
        got, head = [await witness.write(method, path) for method in ("GET", "HEAD")]
        of_got, of_head = [
            {name: value for name, value in fields_of(each).items() if name != "x-request-id"}
            for each in (got, head)
        ]
        if (head.status_code, of_head) != (got.status_code, of_got):
            wanted = f"{got.status_code} {of_got}"
            return f"I8, I11: HEAD {path}: {head.status_code} {of_head}, where GET has {wanted}"
    return None


async def _first_without_right(
    witness: Witness, ids: Mapping[str, str], tokens: Mapping[str, str]
) -> str | None:
    """Each method with no token, one that nobody knows, one of another scope, and the one that it needs."""
    for permission in PERMISSIONS if tokens else ():
        path, fields = _at(permission.path, ids), JSON if permission.body else ()
        for token, status in challenges(permission.scope, tokens):
            answer = await witness.write(permission.method, path, fields, permission.body, token=token)
            is_refused = answer.status_code in (401, 403)
            challenge = answer.headers.get("www-authenticate", "")
            right = answer.status_code == status if status else not is_refused
            if right and is_refused and permission.method != "HEAD":
                told = "; ".join(complaints(permission.method, path, answer, {"www-authenticate": challenge}))
                if told:
                    return f"I11: {permission.method} {path} with {_shown(token, tokens)}: {told}"
            if not right or (is_refused and not challenge.startswith("Bearer ")):
                wanted = status or "no refusal for want of a right"
                return (
                    f"I2, I11: {permission.method} {path} with {_shown(token, tokens)}: expected {wanted}, "
                    f"got {answer.status_code} {challenge!r} {answer.text[:300]}"
                )
    return None


def _shown(token: bytes, tokens: Mapping[str, str]) -> str:
    names = {f"Bearer {value}".encode(): name for name, value in tokens.items()}
    return f"a token of the scope {names[token]}" if token in names else f"Authorization: {token!r}"


async def _first_misnamed(witness: Witness, ids: Mapping[str, str]) -> str | None:
    """An answer has the id that its request was given, if that is one, and else a new one."""
    seen = set()
    for path in (f"/payments/{ids[PAYMENT]}", f"/payments/{ids[UNKNOWN]}", "/nowhere"):
        for given in (*_REQUEST_IDS, *_NO_REQUEST_IDS):
            answer = await witness.write("GET", path, (("X-Request-ID", given),))
            named = answer.headers.get("x-request-id", "")
            if given in _REQUEST_IDS and named.encode() != given:
                return f"I3: GET {path}: X-Request-ID is {given!r}, and the answer has {named!r}"
            if given in _NO_REQUEST_IDS and (not named or named.encode() == given or named in seen):
                return f"I3: GET {path}: X-Request-ID {given!r} is none, and the answer has {named!r}"
            seen.add(named)
    return None


async def _created_twice(witness: Witness) -> str | None:
    """What is created without an id is another payment each time; an id is the same in capitals."""
    made = [await witness.write("POST", "/payments", JSON, _AMOUNT) for _ in range(2)]
    ids = [str(members_of("POST /payments", each).get("id")) for each in made]
    if [each.status_code for each in made] != [201, 201] or ids[0] == ids[1]:
        return f"I10, I11: two POST /payments were answered {[(e.status_code, e.text) for e in made]}"
    for payment, answer in zip(ids, made, strict=True):
        if answer.headers.get("location") != f"/payments/{payment}":
            return f"I8: POST /payments: Location is {answer.headers.get('location')!r}, of payment {payment}"
    alike = [await witness.write("GET", f"/payments/{each}") for each in (ids[0], ids[0].upper())]
    documents = [members_of(f"GET /payments/{ids[0]}, in small letters or capitals", each) for each in alike]
    if [each.get("id") for each in documents] != [ids[0]] * 2:
        return f"I8: GET /payments/{ids[0].upper()} is not GET /payments/{ids[0]}: {alike[1].text}"
    return None


async def made_again(witnesses: Sequence[Witness]) -> str | None:
    """What is new at one process, and is there already or is new at another one too; ``None`` if nothing.

    Args:
        witnesses: of processes on one database; also of one that begins where others have been at work.
    """
    created = [
        await each.write("POST", "/payments", _EACH_APART, _AMOUNT) for each in witnesses for _ in range(2)
    ]
    told = f"POST /payments at {len(witnesses)} processes"
    for answer in created:
        if answer.status_code != _CREATED:
            return f"I10, I11: {told}: one finds a payment: {answer.status_code} {answer.text}"
    for invariants, name in (("I10, I11", "location"), ("I3", "x-request-id")):
        found = [each.headers.get(name) for each in created]
        if len({*found}) != len(found):
            return f"{invariants}: {told}: {name} is not another one each time: {found}"
    return None
