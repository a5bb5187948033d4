"""Elements of an HTML page, as trees: whatever is put into one is text, and cannot become markup."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import TypeAlias
from xml.etree import ElementTree as ET

from pgweave.visible import in_json, one_line, visible

Element: TypeAlias = ET.Element
Content: TypeAlias = "Element | str | int | Iterable[Content] | None"
"""What an element holds: elements, text, nothing, or several of these."""


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Element:
    """An element.

    Args:
        name: Its name.
        content: What it holds.
        attributes: Its attributes. A trailing underscore is dropped (``class_``), the others stand for
            hyphens (``aria_label``). True is an attribute without a value, None and False are none.
    """
    found = ET.Element(name)
    for key, value in attributes.items():
        if value is not None and value is not False:
            text = key if value is True else visible(str(value))
            found.set(key.removesuffix("_").replace("_", "-"), text)
    _append(found, content)
    return found


def fragment(*content: Content) -> list[Element]:
    """Several elements, one after the other."""
    holder = tag("div", *content)
    return list(holder)


def document(title: str, body: Iterable[Content], style: str, script: str) -> str:
    """A page that loads nothing, and whose policy forbids that it does.

    Args:
        title: Its title.
        body: What is in its ``main`` element.
        style: Its style.
        script: Its script. It stands at the end of the page, and is the only one that runs.
    """
    if "</" in style or "</" in script:
        raise ValueError("a style or script that has '</' would end early")
    raw_style, raw_script = ET.Element("style"), ET.Element("script")
    raw_style.text, raw_script.text = style, script
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy(script)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", one_line(title)),
            raw_style,
        ),
        tag("body", tag("main", *body), raw_script),
        lang="en",
    )
    return "<!DOCTYPE html>\n" + write(page)


def policy(script: str) -> str:
    """The policy of a page that loads nothing, and runs this script alone."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def data(json: bytes) -> Element:
    """Data for the page's script, as JSON; it is never run."""
    found = ET.Element("script", {"type": "application/json"})
    found.text = in_json(json.decode()).replace("<", "\\u003c")
    return found


def write(element: Element) -> str:
    """The text of an element in HTML's syntax."""
    return ET.tostring(element, encoding="unicode", method="html")


def _append(parent: Element, content: Content) -> None:
    if content is None:
        return
    if isinstance(content, ET.Element):
        parent.append(content)
    elif isinstance(content, str | int):
        _append_text(parent, visible(str(content)))
    else:
        for each in content:
            _append(parent, each)


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
