"""A first binding, from a service's OpenAPI document: what could not be guessed is marked with ``# ?``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from payments_model import MAX_AMOUNT, MAX_WINDOW
from payments_verify.binding.bodies import amount_in, body_of, first, type_of
from payments_verify.binding.commands import commands_of, payment_parameter
from payments_verify.binding.guesses import (
    DECIDED_AT,
    FIELDS,
    KEY,
    OUTCOMES,
    READY,
    REPLAYED,
    STATE,
    SUCCESS,
    UNKNOWN,
    WINDOW,
    outcome_of,
    state_of,
)
from payments_verify.binding.openapi import Operation, Property, Schema, operations
from payments_verify.binding.sections import FAIL_REASONS
from payments_verify.binding.toml_text import toml_key, toml_value

_MARK = "  # ?"


def scaffold(document: Mapping[str, Any]) -> str:
    """A binding file's text for the service of an OpenAPI document."""
    known = list(operations(document))
    found = commands_of(known)
    lines = [
        "# Written from an OpenAPI document. Each line with a mark, `# ?`, is to be filled in or looked at.",
        'format = "payments-verify-binding"',
        "version = 1",
        f"name = {toml_value(document.get('info', {}).get('title', 'mine'))}",
        *_section("service", _service(known, found)),
        *_section("ids", _ids(found)),
        *_section("values", _values(found)),
        *_section("limits", _limits(found)),
    ]
    for f in ("create", "authorize", "capture", "fail", "read"):
        if f in found:
            is_authorized = "authorize" not in found
            lines += _command(f, found[f], payment_parameter(found), is_authorized=is_authorized)
        elif f != "authorize" or "create" not in found:
            lines += ["", f"# ? [commands.{f}]: no operation looks like it"]
    lines += _refusals(found)
    lines += _section("payment", _payment(found))
    lines += _section("capture", _capture(found))
    return "\n".join(lines) + "\n"


def _service(known: Sequence[Operation], found: Mapping[str, Operation]) -> Iterator[str]:
    asked = [each.path for each in known if each.method == "GET" and re.fullmatch(READY, each.path)]
    mark = "" if asked else f"{_MARK} a path that is answered below 500 once the service is ready"
    yield f'ready = "{asked[0] if asked else "/readyz"}"{mark}'
    if any("form" in operation.body[0] for operation in found.values()):
        yield 'body = "form"'


def _ids(found: Mapping[str, Operation]) -> Iterator[str]:
    by_client = "create" in found and found["create"].method == "PUT"
    yield f'chosen_by = "{"client" if by_client else "service"}"'
    named = [each for each in found["read"].parameters if each.get("in") == "path"] if "read" in found else []
    schema: Schema = next((each.get("schema", {}) for each in reversed(named)), {})
    if schema.get("type") == "integer":
        yield 'kind = "integer"'
    elif schema.get("format") == "uuid":
        yield 'kind = "uuid"'
    else:
        yield 'kind = "text"' + _MARK + ' or "uuid"'
        yield 'form = "{hex}"' + _MARK + ' what an id looks like, as in "pay_{hex}"'


def _values(found: Mapping[str, Operation]) -> Iterator[str]:
    amount = amount_in(found["create"].body[1]) if "create" in found else None
    kind = {"string": "decimal text", "number": "decimal number"}.get(type_of(amount), "cents")
    sure = amount is not None and (kind != "cents" or "cent" in amount.name)
    yield f'amount = "{kind}"' + ("" if sure else f"{_MARK} cents, or whole units?")
    window = first(found["authorize"].body[1], WINDOW) if "authorize" in found else None
    if window is not None:
        unit = next((unit for unit in ("milliseconds", "microseconds") if unit in window.name), "seconds")
        unit = "milliseconds" if window.name.endswith("_ms") else unit
        yield f'window = "{unit}"' + ("" if unit in window.name else _MARK)


def _limits(found: Mapping[str, Operation]) -> Iterator[str]:
    amount = amount_in(found["create"].body[1]) if "create" in found else None
    if type_of(amount) == "integer" and amount is not None and amount.schema.get("minimum", 0) > 1:
        yield f"min_amount = {int(amount.schema['minimum'])}"
    if type_of(amount) == "integer" and amount is not None and "maximum" in amount.schema:
        most = int(amount.schema["maximum"])
        yield f"max_amount = {min(most, MAX_AMOUNT)}"
        if most > MAX_AMOUNT:
            yield "malformed_amounts = [0, -1]"
    window = first(found["authorize"].body[1], WINDOW) if "authorize" in found else None
    if window is not None and window.name.endswith("seconds") and "maximum" in window.schema:
        yield f"max_window_seconds = {min(int(window.schema['maximum']), MAX_WINDOW // 1_000_000)}"
    if 'outcome = "too_many_refusals"' in _refusals(found):
        yield "max_stored_refusals = 1000" + _MARK + " how many refused captures of a payment are stored"


def _command(f: str, operation: Operation, parameter: str, *, is_authorized: bool) -> Iterator[str]:
    yield from ("", f"[commands.{f}]")
    names = re.findall(r"\{[^}]+\}", operation.path)
    others = names if f == "create" and operation.method == "POST" else names[:-1]
    path = operation.path
    for name in others:
        path = path.replace(name, UNKNOWN, 1)
    path = re.sub(r"\{[^}]+\}", "{payment}", path)
    yield f'request = "{operation.method} {path}"' + (_MARK if others else "")
    headers = [str(each["name"]) for each in operation.parameters if each.get("in") == "header"]
    key = next((each for each in headers if re.fullmatch(KEY, each, re.IGNORECASE)), None)
    body, is_sure = body_of(f, operation.body[1])
    if f == "capture" and "{key}" not in toml_value(body):
        yield f'headers = {{ {toml_key(key or "Idempotency-Key")} = "{{key}}" }}{"" if key else _MARK}'
    if body:
        yield f"body = {toml_value(body)}" + ("" if is_sure else _MARK)
    optional = [each for each in operation.body[1] if "." not in each.path and each.path not in body]
    if optional:
        yield f"# ? the body may also have {', '.join(map(_shown, optional))}"
    if f == "create" and is_authorized:
        yield f"authorizes = true{_MARK} nothing else looks like what authorizes"
    if f == "create" and operation.method == "POST":
        yield f'id = "{_id_path(operation, parameter)}"'
    if f == "fail":
        gives_reason = first(operation.body[1], ".*reason") is not None
        yield f"reasons = {json.dumps(list(FAIL_REASONS) if gives_reason else ['voided'])}"
    successes = [seen for status, _, seen in operation.answers if 200 <= status < 300]
    if f != "capture" and successes and first(successes[0], STATE) is not None:
        yield "shows_payment = true"
    yield "answers = ["
    statuses = [status for status, _, _ in operation.answers if 200 <= status < 300] or [200]
    if f == "create" and {200, 201} <= set(statuses):
        yield from ('    { status = 201, outcome = "created" },', '    { status = 200, outcome = "exists" },')
    else:
        outcome = SUCCESS.get(f, "read")
        yield f'    {{ status = {statuses[0]}, outcome = "{outcome}" }},'
    yield "]"


def _shown(member: Property) -> str:
    words = _words(member)
    return f"{member.path} ({', '.join(words)})" if words else member.path


def _refusals(found: Mapping[str, Operation]) -> Iterator[str]:
    """Answers that any command may get: by the words that its body may say, or by its status alone."""
    seen: dict[str, None] = {}
    unread: dict[str, None] = {}
    by_status: dict[int, str] = {}
    for operation in found.values():
        for status, answer, members in operation.answers:
            if not 400 <= status < 500:
                continue
            told = [(each.path, word) for each in members for word in _words(each)]
            for path, word in told:
                outcome = outcome_of(word)
                where = f"where = {{ {toml_key(path)} = {toml_value(word)} }}"
                line = f'status = {status}\n{where}\noutcome = "{outcome}"'
                (unread if outcome is None else seen)[line if outcome else f"{status}, {where}"] = None
            if not told and status in (404, 409, 422, 400):
                by_status.setdefault(status, _by_status(status, answer))
    for line in [*seen, *by_status.values()]:
        yield from ("", "[[answers]]", *line.splitlines())
    if unread:
        yield from (
            "",
            "# ? Answers that were not understood: if a command of the harness may get one, say so.",
        )
        yield from (f"#   {each}" for each in unread)


def _by_status(status: int, answer: Schema) -> str:
    outcome = {404: "not_found", 422: "malformed", 400: "malformed"}.get(status)
    if outcome is not None:
        return f'status = {status}\noutcome = "{outcome}"'
    said = " ".join(str(answer.get("description", "")).split())
    return f'status = {status}\noutcome = "{UNKNOWN}"{_MARK} one of {", ".join(OUTCOMES)}; it says: {said}'


def _words(member: Property) -> list[str]:
    """What a member of a refusal may say that tells why: the values of an enumeration."""
    said = [member.schema["const"]] if "const" in member.schema else member.schema.get("enum", ())
    return [each for each in said if isinstance(each, str)]


def _payment(found: Mapping[str, Operation]) -> Iterator[str]:
    members = (
        next((seen for status, _, seen in found["read"].answers if status == 200), [])
        if "read" in found
        else []
    )
    state = first(members, STATE)
    yield f'state = "{"status" if state is None else state.path}"' + (_MARK if state is None else "")
    words = [] if state is None else [str(each) for each in state.schema.get("enum", ())]
    if words:
        states = {word: state_of(word) for word in words}
        yield f"states = {toml_value(states)}" + (_MARK if UNKNOWN in states.values() else "")
    else:
        names = {"pending": "pending", "authorized": "authorized", "captured": "captured", "failed": "failed"}
        yield f"states = {toml_value(names)}{_MARK} your words on the left"
    amount = amount_in(members)
    if amount is not None:
        yield f'amount = "{amount.path}"'
    for name, words_ in FIELDS.items():
        member = first(members, words_)
        if member is not None and (
            not name.endswith(("_at", "as_of")) or member.schema.get("format") == "date-time"
        ):
            yield f'{name} = "{member.path}"'


def _capture(found: Mapping[str, Operation]) -> Iterator[str]:
    answers = found["capture"].answers if "capture" in found else []
    headers = [each for _, answer, _ in answers for each in answer.get("headers", {})]
    repeated = next((each for each in headers if re.fullmatch(REPLAYED, each, re.IGNORECASE)), None)
    if repeated is not None:
        yield f'replayed = {{ header = "{repeated}", value = "true" }}{_MARK} its value'
    decided = [first(members, DECIDED_AT) for _, _, members in answers]
    paths = dict.fromkeys(each.path for each in decided if each and each.schema.get("format") == "date-time")
    if paths:
        yield f"decided_at = {toml_value(list(paths))}"


def _id_path(operation: Operation, parameter: str) -> str:
    """Where the answer has the id: a member that is called as the parameter in paths, or the end of that."""
    members = [each for status, _, seen in operation.answers if status < 300 for each in seen]
    alike = [each for each in members if len(each.name) > 2 and parameter.lower().endswith(each.name)]
    found = min(alike, key=lambda each: each.path.count("."), default=None)
    found = found or first(members, "id|uuid") or first(members, ".*_id")
    return "id" if found is None else found.path


def _section(name: str, lines: Iterator[str]) -> list[str]:
    return ["", f"[{name}]", *lines]
