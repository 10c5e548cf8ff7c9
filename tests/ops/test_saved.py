"""Plans in files, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regkit.errors import UsageError
from regkit.ops import saved
from regkit.ops.cleanup_plan import read_saved
from regkit.ops.planfile import SavedPlan

Read = Callable[[Path], object]
PLANS = pytest.mark.parametrize(
    ("read", "document", "what"),
    [
        (SavedPlan.read, {"schema": 1, "request": {}}, "a plan"),
        (read_saved, {"schema": 1, "images": []}, "a plan of a cleanup"),
    ],
    ids=["publish", "cleanup"],
)


@PLANS
def test_what_is_a_plan(read: Read, document: dict[str, Any], what: str, tmp_path: Path) -> None:
    """Nothing else is read as one, however it is broken; the hint is how it is made."""
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(document))
    read(file)

    key = next(key for key in document if key != "schema")
    broken = ["", "{", "[" * 100_000, "[]", "1", json.dumps({"schema": 1}), json.dumps({**document, key: "x"})]
    for text in broken:
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            read(file)
        assert caught.value.message == f"{file} isn't {what}"
        assert "make the plan anew: regkit" in str(caught.value.hint)


@PLANS
def test_a_plan_of_tomorrow_and_one_that_is_not_there(
    read: Read, document: dict[str, Any], what: str, tmp_path: Path
) -> None:
    del what
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({**document, "schema": 2}))
    with pytest.raises(UsageError, match="unknown schema 2"):
        read(file)
    with pytest.raises(UsageError, match="can't be read"):
        read(tmp_path / "none")


@PLANS
def test_the_size_is_bounded(
    read: Read, document: dict[str, Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plan.json"
    text = json.dumps(document)
    file.write_text(text)
    monkeypatch.setattr(saved, "MAX_SIZE", len(text))
    read(file)
    monkeypatch.setattr(saved, "MAX_SIZE", len(text) - 1)
    with pytest.raises(UsageError, match=f"isn't {what}"):
        read(file)
