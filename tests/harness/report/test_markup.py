"""Elements of pages: whatever is put into one is text."""

from __future__ import annotations

import pytest

from pgweave.timeline.markup import data, document, fragment, tag, write
from tests.harness.report.reading import Page
from tests.pgweave.timeline.hostile import MARKUP

OUT = "<script>alert(1)</script>"


def test_text_stays_text() -> None:
    for element in (tag("p", OUT), tag("p", title=OUT), tag("p", title='"><script>')):
        assert Page(write(element)).elements == ["p"]
    page = Page(write(tag("p", OUT, title=OUT)))
    assert (page.text, page.attributes) == (OUT, [("p", "title", OUT)])


def test_text_and_elements_keep_their_order() -> None:
    made = tag("p", "a", tag("b", "b"), "c", None, ["d", tag("i", 1)], class_="x", hidden=True, id=None)
    assert write(made) == '<p class="x" hidden="hidden">a<b>b</b>cd<i>1</i></p>'
    assert [each.tag for each in fragment(tag("p"), tag("b"))] == ["p", "b"]


def test_data_cannot_end_its_element() -> None:
    written = write(data(f'"</script>{MARKUP}"'.encode()))
    assert written.count("</script>") == 1
    assert written.endswith("</script>")


def test_neither_can_a_style_or_a_script() -> None:
    for style, script in (("</style>", ""), ("", "</script>")):
        with pytest.raises(ValueError, match="end early"):
            document("t", [], style, script)
