"""The frame of the pages, and Markdown's inline code in texts."""

import re
from html import escape


def page(title: str, body: str, path: str = "") -> bytes:
    """A page of the service, at ``path`` if the header leads there: one style sheet, no script."""
    current = ' aria-current="page"'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · payments-core</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<header class="bar"><a class="brand" href="/">payments-core</a>
<nav aria-label="Pages"><a href="/docs"{current if path == "/docs" else ""}>Contract</a>
<a href="/openapi.json">OpenAPI</a></nav></header>
{body}
</body>
</html>
""".encode()


def inline(text: str) -> str:
    """Text for HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
