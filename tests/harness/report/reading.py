"""What a browser makes of a page."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page, parsed as HTML.

    Attributes:
        elements: the names of its elements, in order.
        attributes: their attributes.
        ids: the ids.
        texts: what is text, outside scripts and styles.
        loads: whatever it would load from elsewhere.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.loads: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """All text, each run of white space a space."""
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag in ("script", "style"):
            self._inside.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            is_link = name in (
                "src",
                "href",
                "data",
                "srcset",
                "action",
                "poster",
                "xlink:href",
                "background",
            )
            if is_link and not (tag == "a" and (value or "").startswith("#")):
                self.loads.append(f"<{tag} {name}={value}>")
        if tag in ("link", "iframe", "object", "embed", "img", "base", "video", "audio"):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside:
            if "url(" in data.replace("url(#", "") or "@import" in data:
                self.loads.append(f"in <{self._inside[-1]}>")
        else:
            self.texts.append(data)
