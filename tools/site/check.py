"""See that the built site loads nothing from elsewhere: no script, style, picture or font of another host."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

SITE = Path(__file__).parents[2] / "build" / "site" / "html"
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
NOT_LOADED = {"canonical", "next", "prev", "alternate", "license", "author"}
IN_STYLE = re.compile(r"(?:@import\s+|url\()\s*['\"]?((?:https?:)?//[^'\")\s]+)")


class Loads(HTMLParser):
    """Collects what a page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element."""
        values = dict(attrs)
        if tag == "link" and NOT_LOADED & set((values.get("rel") or "").split()):
            return
        target = values.get(LOADING.get(tag, "")) or ""
        if re.match(r"(?:https?:)?//", target):
            self.found.append(target)


def foreign(folder: Path) -> list[str]:
    """What the files of a folder load from elsewhere, each with the file that does."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html":
            page = Loads()
            page.feed(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(folder)}: {target}" for target in page.found]
        elif path.suffix == ".css":
            found += [
                f"{path.relative_to(folder)}: {target}"
                for target in IN_STYLE.findall(path.read_text("utf-8"))
            ]
    return found


if __name__ == "__main__":
    pages = sorted(SITE.rglob("*.html"))
    wrong = foreign(SITE)
    for each in wrong:
        sys.stderr.write(f"loaded from elsewhere: {each}\n")
    if not pages:
        sys.stderr.write(f"no site in {SITE}\n")
    sys.exit(1 if wrong else 0 if pages else 2)
