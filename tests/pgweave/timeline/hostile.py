"""A schedule whose every text tries to break out of where it is written."""

from __future__ import annotations

from pgweave.timeline.model import Lane, Timeline, TimelineOperation, TimelineStep

MARKUP = "<script>alert('x')</script>&amp;\"]]>--></style></svg>{x}"
CONTROL = "\x00\x1b[31m\x1b]8;;x\x07\u202e\ud800\ufffe"


def hostile(text: str = MARKUP + CONTROL) -> Timeline:
    steps = (
        TimelineStep(0, f'SELECT 1 FROM "{text}" WHERE a = \'', answer=text, values=(text, "漢字")),
        TimelineStep(1, text, kind="other", blocked_until=2),
        TimelineStep(0, f"clock\n{text}", kind="clock", woke=(1,), error=text),
    )
    operations = (
        TimelineOperation(0, text, text, expected=text, first=0, last=2, is_violation=True),
        TimelineOperation(1, text, text, first=1, last=1),
    )
    return Timeline(text, text, (Lane(text), Lane("漢字 " + text)), steps, operations, text, text, parts_at=2)
