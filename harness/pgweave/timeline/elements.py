"""Elements of an SVG picture; every text is escaped when they are written."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from pgweave.visible import visible

NAMESPACE = "http://www.w3.org/2000/svg"
CHARACTER = 7.0
"""How wide a character of the monospaced text is at most, in pixels."""

Element = ET.Element


def root(width: float, height: float, label: str, class_: str = "timeline") -> Element:
    """A picture of this size, with a name for those who cannot see it."""
    size = {"width": number(width), "height": number(height)}
    view = f"0 0 {size['width']} {size['height']}"
    names = {"class": class_, "role": "img", "aria-label": visible(label)}
    return Element("svg", {"xmlns": NAMESPACE, "viewBox": view, **size, **names})


def group(parent: Element, class_: str, title: str = "", step: int | None = None) -> Element:
    """A group.

    Args:
        parent: What it is in.
        class_: Its class.
        title: What is shown when a pointer rests on it.
        step: The step that it belongs to; later than a step that a reader looks at, it is dimmed.
    """
    found = ET.SubElement(parent, "g", {"class": class_})
    if step is not None:
        found.set("data-step", str(step))
    if title:
        ET.SubElement(found, "title").text = visible(title)
    return found


def text(parent: Element, x: float, y: float, content: str, class_: str = "mono", anchor: str = "") -> None:
    """A line of text, its baseline at y."""
    place = {"x": number(x), "y": number(y), "class": class_, "xml:space": "preserve"}
    if anchor:
        place["text-anchor"] = anchor
    ET.SubElement(parent, "text", place).text = visible(content)


def box(parent: Element, area: tuple[float, float, float, float], class_: str, radius: float = 4) -> None:
    """A rounded rectangle: x, y, width, height."""
    x, y, width, height = map(number, area)
    place = {"x": x, "y": y, "width": width, "height": height, "rx": number(radius), "class": class_}
    ET.SubElement(parent, "rect", place)


def path(parent: Element, d: str, class_: str, **attributes: str) -> None:
    """A path. An underscore in the name of an attribute stands for a hyphen."""
    more = {name.replace("_", "-"): value for name, value in attributes.items()}
    ET.SubElement(parent, "path", {"d": d, "class": class_, **more})


def definitions(parent: Element) -> None:
    """The hatching of waits, and the tip of arrows."""
    defs = ET.SubElement(parent, "defs")
    turned = "rotate(45)"
    size = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": turned}
    hatch = ET.SubElement(defs, "pattern", {"id": "timeline-hatch", **size})
    ET.SubElement(hatch, "rect", {"width": "6", "height": "6", "class": "tint"})
    ET.SubElement(hatch, "path", {"d": "M1 0V6", "class": "hatch"})
    at = {"viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "7", "markerHeight": "7"}
    marker = ET.SubElement(defs, "marker", {"id": "timeline-tip", "orient": "auto", **at})
    ET.SubElement(marker, "path", {"d": "M0 0L8 4L0 8Z", "class": "tip"})


def number(value: float) -> str:
    """A length, as short as it can be written."""
    return f"{value:.1f}".removesuffix(".0")


def write(element: Element) -> str:
    """The text of a picture."""
    return ET.tostring(element, encoding="unicode")
