"""Put the pages of the project where the site is built from, in the folders that they have in the project.

A link to what is no page (source code, tests) becomes the name alone: the site stands by itself.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
PAGES = SITE / "pages"
SECTIONS = {
    "Start": ["README.md", "specs/tutorial.md", "specs/commands.md", "CHANGELOG.md"],
    "Specification": ["specs/specification.md", "specs/tla/README.md", "specs/proof.md", "specs/README.md"],
    "Verify": [
        "specs/conformance.md",
        "specs/stacks.md",
        "specs/checking-histories.md",
        "specs/exploring.md",
        "specs/soak.md",
        "specs/known-bugs.md",
        "specs/report.md",
        "specs/verdicts.md",
    ],
    "Run": ["specs/service.md", "specs/operations.md", "specs/beyond-one-machine.md"],
    "Change": ["CONTRIBUTING.md", "specs/code-map.md"],
    "Figures": ["specs/benchmarks.md"],
    "Problem types": ["specs/problems/README.md"],
    "Decisions": ["specs/adr/*.md"],
}
"""The pages of the menu; what matches none of these is a page all the same, under More."""
UNLISTED = "specs/problems/*.md"
"""Pages that another page lists."""
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)]*)?\)")


def main() -> None:
    """Assemble the pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    sources = [*ROOT.glob("*.md"), *(path for path in (ROOT / "specs").rglob("*") if path.is_file())]
    sources += (ROOT / "docker").rglob("*.md")
    for source in sources:
        target = PAGES / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(standing_alone(source, set(sources)), encoding="utf-8")
        else:
            shutil.copyfile(source, target)
    for name in ("site.css", "iframe-worker.js"):
        shutil.copyfile(Path(__file__).with_name(name), PAGES / name)
    (SITE / "mkdocs.yml").write_text(json.dumps(configuration(), indent=1), encoding="utf-8")
    sys.stdout.write(f"{len(sources)} files\n")


def configuration() -> dict[str, object]:
    """The site's configuration: where its pages are, and their menu. JSON is YAML."""
    left = sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))
    menu: list[dict[str, list[str]]] = []
    for section, patterns in SECTIONS.items():
        named = [name for pattern in patterns for name in sorted(left) if fnmatchcase(name, pattern)]
        pages = list(dict.fromkeys(named))
        left = [name for name in left if name not in pages]
        menu.append({section: pages})
    base = (ROOT / "tools" / "site" / "mkdocs.yml").as_posix()
    more = [name for name in left if not fnmatchcase(name, UNLISTED)]
    nav = [section for section in [*menu, {"More": more}] if any(section.values())]
    return {"INHERIT": base, "docs_dir": "pages", "site_dir": "html", "nav": nav, "not_in_nav": UNLISTED}


def standing_alone(page: Path, sources: set[Path]) -> str:
    """The page, with its links to what is not of the site taken out."""

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found["target"]).resolve()
        folder = target / "README.md"
        if target in sources:
            return found[0]
        if folder in sources:
            return f"[{found['text']}]({found['target'].rstrip('/')}/README.md{found['anchor'] or ''})"
        return found["text"]

    return LINK.sub(link, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
