"""The contract as a page for people, made from the OpenAPI document and nothing else."""

import json
from html import escape
from typing import Any

from payments_core.entrypoints.http.contract.html import inline, page

Json = dict[str, Any]


def docs_page(document: Json) -> bytes:
    """The page at ``/docs``."""
    groups = [(tag, _operations_of(document, tag["name"])) for tag in document["tags"]]
    contents = "".join(_contents(tag, operations) for tag, operations in groups)
    sections = "".join(_section(document, tag, operations) for tag, operations in groups)
    schemas = document["components"]["schemas"]
    info = document["info"]
    paragraphs = "".join(f"<p>{inline(each)}</p>" for each in info["description"].split("\n\n"))
    return page(
        "Contract",
        f"""<div class="docs">
<nav class="contents" aria-label="Contents">{contents}
<h2><a href="#schemas">Documents</a></h2></nav>
<main>
<p class="eyebrow">OpenAPI {escape(document["openapi"])}</p>
<h1>{inline(info["summary"])}</h1>
{paragraphs}
{sections}
<section><h2 id="schemas">Documents</h2>{"".join(_schema(name, schemas[name]) for name in schemas)}</section>
</main></div>""",
        "/docs",
    )


def _operations_of(document: Json, tag: str) -> list[tuple[str, str, Json, list[Json]]]:
    found = []
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method != "parameters" and tag in operation["tags"]:
                found.append((method, path, operation, [*shared, *operation.get("parameters", [])]))
    return found


def _contents(tag: Json, operations: list[tuple[str, str, Json, list[Json]]]) -> str:
    items = "".join(
        f'<li><a href="#{operation["operationId"]}"><b class="method">{method.upper()}</b>'
        f" {_path(path)}</a></li>"
        for method, path, operation, _ in operations
    )
    return f"<h2>{escape(tag['name'])}</h2><ul>{items}</ul>"


def _path(path: str) -> str:
    """A path that may break after each slash."""
    return escape(path).replace("/", "/<wbr>")


def _section(document: Json, tag: Json, operations: list[tuple[str, str, Json, list[Json]]]) -> str:
    shown = "".join(_operation(document, *each) for each in operations)
    return f"<section><h2>{escape(tag['name'])}</h2><p>{inline(tag['description'])}</p>{shown}</section>"


def _operation(document: Json, method: str, path: str, operation: Json, parameters: list[Json]) -> str:
    body = operation.get("requestBody")
    answers = "".join(_answer(document, *each) for each in operation["responses"].items())
    return f"""<article id="{operation["operationId"]}">
<h3><b class="method">{method.upper()}</b> <code>{_path(path)}</code></h3>
<p>{inline(operation["summary"])}.</p>
{_parameters(document, parameters)}
{"" if body is None else "<h4>Body</h4>" + _media(body["content"]["application/json"])}
<h4>Answers</h4>
{answers}
</article>"""


def _resolved(document: Json, item: Json) -> Json:
    while "$ref" in item:
        _, _, kind, name = item["$ref"].split("/")
        item = document["components"][kind][name]
    return item


def _parameters(document: Json, parameters: list[Json]) -> str:
    rows = "".join(
        f"<dt><code>{escape(each['name'])}</code> <small>{each['in']}"
        f"{', required' if each.get('required') else ''}</small></dt><dd>{inline(each['description'])}"
        f"<small>{_constraints(each['schema'])}</small></dd>"
        for each in (_resolved(document, item) for item in parameters)
        if each["name"] != "X-Request-ID"
    )
    return f"<h4>Parameters</h4><dl>{rows}</dl>" if rows else ""


def _answer(document: Json, status: str, answer: Json) -> str:
    parts = [f"<p>{inline(answer['description'])}</p>"]
    own = [name for name in answer["headers"] if name != "X-Request-ID"]
    if own:
        parts.append(f"<p>Headers: {', '.join(f'<code>{escape(name)}</code>' for name in own)}</p>")
    for content in answer.get("content", {}).values():
        parts += [_media(content)] if "example" in content else [_problems(document, content)]
    opened = " open" if status[0] == "2" else ""
    first = answer["description"].partition(". ")[0].rstrip(".")
    return (
        f'<details{opened}><summary><span class="status status-{status[0]}">{status}</span>'
        f" {inline(first)}</summary>{''.join(parts)}</details>"
    )


def _problems(document: Json, content: Json) -> str:
    rows = ""
    for example in content["examples"].values():
        value = _resolved(document, example)["value"]
        rows += (
            f'<dt><a href="{escape(value["type"])}"><code>{escape(value["type"])}</code></a></dt>'
            f"<dd>{inline(value['detail'])}</dd>"
        )
    return f"<dl>{rows}</dl>"


def _media(content: Json) -> str:
    example = content["example"]
    shown = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    return f"<p>{_type(content['schema'])}</p><pre><code>{escape(shown)}</code></pre>"


def _schema(name: str, schema: Json) -> str:
    rows = "".join(
        f"<dt><code>{escape(field)}</code> <small>{'' if field in schema.get('required', []) else 'optional'}"
        f"</small></dt><dd>{_type(each)} {inline(each.get('description', ''))}"
        f"<small>{_constraints(each)}</small></dd>"
        for field, each in schema.get("properties", {}).items()
    )
    values = f"<p>One of {_values(schema['enum'])}.</p>" if "enum" in schema else ""
    text = inline(schema.get("description", ""))
    return (
        f'<article id="schema-{name}"><h3>{escape(name)}</h3><p>{text}</p>{values}<dl>{rows}</dl></article>'
    )


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return _values(schema["enum"])
    return escape(str(schema.get("format", schema.get("type", ""))))


def _values(values: list[str]) -> str:
    return ", ".join(f"<code>{escape(each)}</code>" for each in values)


def _constraints(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    parts = [f"{low:,} to {high:,}"] if low is not None and high is not None else []
    if "default" in schema:
        parts.append(f"{schema['default']} if not given")
    if "enum" in schema and len(schema["enum"]) > 6:
        parts.append(f"{len(schema['enum'])} names, listed in the answers")
    return f" {escape('; '.join(parts))}" if parts else ""
