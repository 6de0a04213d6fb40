"""The generated pages are what the source says today."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    """tools/make_docs.py as a module."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        spec.loader.exec_module(module)
    return module


def test_committed_pages_are_what_would_be_generated(make_docs: ModuleType) -> None:
    for path, text in make_docs.pages().items():
        assert (ROOT / path).read_text() == text, f"{path} is out of date: run `python tools/make_docs.py`"


@pytest.mark.parametrize("name", ["prose", "shelves"])
def test_examples_in_the_tool_are_right(make_docs: ModuleType, name: str) -> None:
    found = doctest.testmod(sys.modules[f"doc_pages.{name}"])
    assert found.attempted > 0
    assert found.failed == 0


def test_check_names_a_page_that_differs(
    make_docs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in make_docs.pages().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text.replace("`epochs`", "`eras`"))
    (tmp_path / "docs/detectors/of_old.md").write_text("# of_old\n")
    pages = make_docs.pages()
    monkeypatch.setattr(make_docs, "ROOT", tmp_path)
    monkeypatch.setattr(make_docs, "pages", lambda: pages)
    monkeypatch.setattr(sys, "argv", ["make_docs.py", "--check"])
    assert make_docs.main() == 1
    assert capsys.readouterr().out == "docs/settings.md\ndocs/detectors/of_old.md\n"
    monkeypatch.setattr(sys, "argv", ["make_docs.py"])
    assert make_docs.main() == 0
    assert not (tmp_path / "docs/detectors/of_old.md").exists()
    monkeypatch.setattr(sys, "argv", ["make_docs.py", "--check"])
    assert make_docs.main() == 0


def test_proofs_of_one_shape_are_joined_and_others_left_out(make_docs: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "proofs"
    folder.mkdir(parents=True)
    (folder / "a-1.md").write_text("# a-1\n\n| n | rate |\n|---|---|\n| 1 | .1 |\n\nMade by x.\n")
    (folder / "a-2.md").write_text("# a-2\n\n| n | rate |\n|---|---|\n| 2 | .2 |\n\nMade by x.\n")
    (folder / "a-mutants.md").write_text("# m\n\n| mutant |\n|---|\n| bad |\n")
    page = "before\n<!-- proof: a-* -->\nold\n<!-- end of proof -->\nafter <!-- proof: b -->\n<!-- end of proof -->\n"
    filled = make_docs.with_proofs(page, tmp_path)
    assert "| n | rate |\n|---|---|\n| 1 | .1 |\n| 2 | .2 |\n" in filled
    assert "old" not in filled
    assert "mutant" not in filled
    assert "Not measured in this tree yet" in filled
    assert make_docs.with_proofs(filled, tmp_path) == filled
