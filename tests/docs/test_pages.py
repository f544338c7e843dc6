"""Every example of the documentation runs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import pages

REQUIRED = os.environ.get("ROUTENOTIFY_REQUIRE_EXTRAS") == "1"
EXAMPLES = [
    example
    for page in pages.pages()
    for example in pages.examples(page)
    if example.language in pages.RUN
]


@pytest.fixture
def computer(netns, tmp_path):
    """A computer for the readers of a page."""
    return pages.Computer(netns, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_when_run_as_it_stands_then_it_works(example, computer):
    """It ends by itself, or, if it loops, with Ctrl-C; nothing is warned of."""
    if example.language == "python":
        compile(example.script, str(example), "exec")
    if not example.is_run:
        return
    if missing := example.missing():
        assert not REQUIRED, f"missing, but required: {missing}"
        pytest.skip(f"needs {', '.join(missing)}")
    pages.run(example, computer)


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_page_when_read_then_no_fence_escapes_by_its_language(page):
    """A block is run, or of a language that nobody could run here."""
    known = {*pages.RUN, *pages.NOT_RUN}

    assert [] == [
        str(example)
        for example in pages.examples(page)
        if example.language not in known
    ]


def test_pages_when_there_is_one_more_then_readme_and_index_name_it():
    """A page that nothing leads to is not read; a picture has to be there."""
    folder = pages.ROOT / "docs"
    readme, index = ((pages.ROOT / "README.md"), folder / "index.md")
    for page in folder.glob("*.md"):
        assert f"(docs/{page.name})" in readme.read_text()
        assert page == index or f"({page.name})" in index.read_text()
    for page in pages.pages():
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    shown = "".join(page.read_text() for page in pages.pages())
    for picture in (folder / "images").iterdir():
        assert f"images/{picture.name})" in shown


@pytest.mark.parametrize(
    ("language", "text", "complaint"),
    [
        ("python", "import time; print(1, flush=True); time.sleep(100)", "not end"),
        ("console", "$ routenotify watch", "not end"),
        ("console", "$ routenotify watch\n...\n^C", None),
        ("python", "raise SystemExit(3)", "status 3"),
        ("python", "import time; time.sleep(0.2)", None),
        ("python", "import os; print(1, flush=True); os.pause()", "status 1"),
        (
            "python",
            "# loops\nimport time; print(1, flush=True); time.sleep(100)",
            None,
        ),
        ("python", "import warnings; warnings.warn('x')", "warns"),
        ("console", "$ false", "status 1"),
        ("console", "$ routenotify watch --count 1\n...", None),
        ("console", "$ routenotify get nonsense", "status 2"),
    ],
)
def test_example_when_it_is_broken_then_the_harness_says_so(
    language, text, complaint, computer, monkeypatch
):
    """A wrong status, a warning, silence: each is a failure."""
    wishes = ["loops"] if text.startswith("# loops") else []
    example = pages.Example("none.md", 1, language, text, wishes)
    if complaint is None:
        pages.run(example, computer)
    else:
        monkeypatch.setattr(pages, "PATIENCE", 3)
        with pytest.raises(pages.BrokenError, match=complaint):
            pages.run(example, computer)


def test_examples_when_a_page_is_parsed_then_wishes_and_text_are_kept(tmp_path):
    """A comment belongs to the fence below it, and to no other."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- example: needs nonesuch_module sh -->\n"
        "```python\na = 1\n```\ntext\n"
        "<!-- example: continues; monitor -->\n\n```python\nprint(a)\n```\n"
        "```console\n$ one\nshown\n$ two\n```\n"
    )
    first, second, third = pages.examples(page)

    assert ["nonesuch_module"] == first.missing()
    assert second.script.endswith(":\n    a = 1\n\n    print(a)\n")
    assert [] == third.wishes
    assert [("one", ["shown"]), ("two", [])] == third.commands
