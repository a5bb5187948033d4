"""fastidempotent with no payments: a handler that fails once, one that is slow, and one that is decorated."""

import asyncio
from collections import Counter

from fastapi import FastAPI, HTTPException, Request
from fastidempotent import IdempotencyConfig, IdempotencyMiddleware, MemoryBackend, idempotent

app, calls = FastAPI(), Counter()
config = IdempotencyConfig(lock_timeout=1, optional=True)
app.add_middleware(IdempotencyMiddleware, backend=MemoryBackend(), config=config)


@app.post("/fails-once")
async def fails_once():
    calls["fails once"] += 1
    if calls["fails once"] == 1:
        raise HTTPException(503)
    return calls


@app.post("/slow")
async def slow():
    calls["slow"] += 1
    await asyncio.sleep(3)
    return calls


decorated_alone = FastAPI()
app.mount("/decorated", decorated_alone)


@decorated_alone.post("/", status_code=201)
@idempotent(MemoryBackend(), IdempotencyConfig(header_name="X-Key"))
async def decorated(request: Request):  # noqa: ARG001 - the decorator looks for it
    return {"a": 1}
