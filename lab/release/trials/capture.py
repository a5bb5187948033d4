"""Tries what the client brings: a capture, from a server that says what the service would say."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from uuid import uuid4

from payments_client import PaymentsClient

PAYMENT = uuid4()


class Service(BaseHTTPRequestHandler):
    """Answers every capture with a success."""

    def do_POST(self) -> None:
        amount = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["amount_cents"]
        captured = {"outcome": "captured", "payment_id": str(PAYMENT), "amount_cents": amount}
        body = json.dumps({**captured, "captured_at": "2026-01-01T00:00:00Z"}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


of_others = ("payments_model", "payments_verify", "pgweave", "psycopg", "starlette", "typer", "hypothesis")
found = [name for name in of_others if find_spec(name)]
assert not found, f"the client came with {found}"
server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
with PaymentsClient(f"http://127.0.0.1:{server.server_port}") as payments:
    captured = payments.capture(PAYMENT, 1_000, key="order-1")
print("captured", captured.amount_cents, "under", captured.key)  # noqa: T201
