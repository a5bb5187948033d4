"""The page of a problem type: as Markdown for the specs, and as HTML where its ``type`` leads."""

from html import escape

from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.contract.descriptions import DESCRIPTIONS, described
from payments_core.entrypoints.http.contract.document import possible_problems
from payments_core.entrypoints.http.contract.html import inline, page
from payments_core.entrypoints.http.contract.operations import ANYWHERE, EVERYWHERE, OPERATIONS
from payments_core.entrypoints.http.problems import ProblemType

_BESIDE_THE_CONTRACT = {
    problems.NO_RESOURCE: "any request for a path that the contract lacks",
    problems.NO_METHOD: "any request with a method that the path lacks",
    problems.CAPTURE_WINDOW_OPEN: "no request: the sweeper alone expires payments",
}
"""What answers with a problem beside the operations of the contract."""
_NOTICE = "<!-- Written by `make specs`, from descriptions.py of the contract. -->"


def markdown_pages() -> dict[str, str]:
    """Every page of ``specs/problems``, by its file's name."""
    return {f"{each.name}.md": markdown(each) for each in DESCRIPTIONS} | {"README.md": markdown_index()}


def markdown(problem: ProblemType) -> str:
    """The page in ``specs/problems``."""
    text = described(problem)
    where = "\n".join(f"- {each}" for each in _answering(problem))
    return f"""{_NOTICE}
# {text.title}

| type | status |
|---|---|
| `{text.type}` | {text.status} |

**When.** {text.when}

**What to do.** {text.remedy}

Answered by:

{where}
"""


def markdown_index() -> str:
    """The page that leads to the others."""
    rows = "\n".join(
        f"| [`{each.name}`]({each.name}.md) | {each.status} | {each.title} |"
        for each in sorted(DESCRIPTIONS, key=lambda each: (each.status, each.name))
    )
    return f"""{_NOTICE}
# Problem types

Errors are problem documents (RFC 9457). Their `type` is `/problems/` and a name below; the service answers
there too, with the same text.

| type | status | title |
|---|---|---|
{rows}
"""


def html(problem: ProblemType) -> bytes:
    """The page at the problem's ``type``."""
    text = described(problem)
    where = "".join(f"<li>{inline(each)}</li>" for each in _answering(problem))
    return page(
        text.title,
        f"""<main class="narrow">
<p class="eyebrow">Problem type</p>
<h1>{escape(text.title)}</h1>
<p><code>{escape(text.type)}</code> <span class="status status-{text.status // 100}">{text.status}</span></p>
<h2>When</h2><p>{inline(text.when)}</p>
<h2>What to do</h2><p>{inline(text.remedy)}</p>
<h2>Answered by</h2><ul>{where}</ul>
</main>""",
    )


def _answering(problem: ProblemType) -> list[str]:
    if problem in ANYWHERE:
        return ["any request"]
    if problem in EVERYWHERE:
        return ["any request that needs the database"]
    found = [
        f"`{each.method.upper()} {each.path}`" for each in OPERATIONS if problem in possible_problems(each)
    ]
    return found + [text for each, text in _BESIDE_THE_CONTRACT.items() if each is problem]
