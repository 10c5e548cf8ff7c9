"""The official conformance suite passes, and the documentation says so with what the suite wrote."""

from __future__ import annotations

import pytest

from .conformance import DISABLED, PAGE, PASSED, STORES, VERSIONS, Result, page, run

OFF = {"Sparse Manifests"}
"""What the suite itself has off even for the newest specification."""


@pytest.fixture(scope="module", params=STORES)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Give what the suite says about each version of the specification, over one of the two stores."""
    return {version: run(tmp_path_factory.mktemp(version), request.param, version) for version in VERSIONS}


def test_every_case_passes(results: dict[str, Result]) -> None:
    """All of the newest specification passes; of the released one all that the suite doesn't leave to the newest."""
    released, newest = (results[version] for version in VERSIONS)

    assert set(newest.cases) == {(name, "passed") for name, _ in newest.cases}
    assert {status for _, status in released.cases} <= {"passed", "skipped"}
    assert released.cases_that("skipped") <= newest.cases_that("passed")


def test_nothing_is_switched_off(results: dict[str, Result]) -> None:
    """Every topic is passed, sha512 included, except what the suite itself has off."""
    released, newest = (results[version] for version in VERSIONS)

    assert newest.topics_that(PASSED) == {*newest.topics["apis"], *newest.topics["data"]} - OFF
    assert newest.topics_that(DISABLED) == OFF
    assert released.topics_that(PASSED) | released.topics_that(DISABLED) == newest.topics_that(PASSED) | OFF


def test_the_page_says_what_the_suite_says(results: dict[str, Result]) -> None:
    """`make docs` has been run since the last change of the suite or the registry."""
    assert PAGE.read_text(encoding="utf-8") == page(results)
