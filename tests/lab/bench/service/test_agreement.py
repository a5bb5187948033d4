"""How two servers are compared: what differs each time is left out, and nothing else."""

from __future__ import annotations

from lab.bench.service.agreement import differences, questions, timeless

CAPTURED = b'{"outcome":"captured","captured_at":"2026-01-01T00:00:00.000001Z"}'
PAYMENT = "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e"
REFUSED = b'{"type":"/problems/x","detail":"%s"}'


def test_instants_are_left_out_and_nothing_else() -> None:
    headers = {"content-type": "application/json", "date": "now", "idempotent-replayed": "true"}
    found = timeless(201, headers, CAPTURED)
    assert found["body"] == {"outcome": "captured", "captured_at": "(an instant)"}
    assert found["headers"] == {"content-type": "application/json", "idempotent-replayed": "true"}
    assert found == timeless(201, headers | {"date": "then"}, CAPTURED.replace(b"01Z", b"99Z"))
    assert found != timeless(200, headers, CAPTURED)
    assert found != timeless(201, {}, CAPTURED)
    assert found != timeless(201, headers, CAPTURED.replace(b"captured", b"failed"))


def test_the_words_for_what_was_not_understood_are_each_servers_own() -> None:
    assert timeless(422, {}, REFUSED % b"one") == timeless(422, {}, REFUSED % b"other")
    assert timeless(409, {}, REFUSED % b"one") != timeless(409, {}, REFUSED % b"other")
    decided = b'{"decided_at":"2026-01-01T00:00:00.000001Z","detail":"%s"}'
    assert timeless(422, {}, decided % b"one") != timeless(422, {}, decided % b"other")


def test_a_difference_names_the_request() -> None:
    asked = questions(PAYMENT, PAYMENT)
    same = [{"status": 201} for _ in asked]
    assert differences(asked, same, same) == []
    other = [*same[:-1], {"status": 404}]
    (found,) = differences(asked, same, other)
    assert f"GET /payments/{PAYMENT}" in found
    assert "404" in found
