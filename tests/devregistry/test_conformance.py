"""The official conformance suite passes, and the documentation says so with what the suite wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from .conformance import DISABLED, PAGE, PASSED, VERSIONS, Result, page, run
from .test_users import hashed

OFF = {"Sparse Manifests"}
"""What the suite itself has off even for the newest specification."""

ANONYMOUS = {"Blob anonymous mount"}


@pytest.fixture(scope="module", params=["memory", "directory"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Give what the suite says about each version of the specification, over one of the two stores."""
    root = tmp_path_factory.mktemp(request.param)
    options = ("--dir", "memory") if request.param == "memory" else ()
    return {version: run(root / version, version, *options) for version in VERSIONS}


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


@pytest.mark.parametrize("scheme", ["basic", "token"])
def test_all_passes_with_a_login_over_tls(tmp_path: Path, scheme: str) -> None:
    """Behind a guard, a mount from anywhere becomes an upload, as the specification allows; all else is the same."""
    options, access = guarded(tmp_path, scheme)

    result = run(tmp_path / "registry", VERSIONS[-1], *options, **access)

    assert result.topics_that(PASSED) == {*result.topics["apis"], *result.topics["data"]} - OFF - ANONYMOUS
    assert result.topics_that(DISABLED) == OFF
    assert {name for name, status in result.cases if status != "passed"} == {
        f"OCI Conformance Test/{algorithm} blobs/mount anonymous/blob-mount-anonymous"
        for algorithm in ("sha256", "sha512")
    }


def guarded(root: Path, scheme: str) -> tuple[list[str], dict[str, str]]:
    """Give the options of a registry with logins and TLS, and how the suite gets in."""
    (root / "htpasswd").write_text(f"ci:{hashed('secret')}\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(root / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(root / "cert.pem")
    certificate.private_key_pem.write_to_path(root / "key.pem")
    options = ["--auth", str(root / "htpasswd"), "--auth-scheme", scheme]
    options += ["--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "key.pem")]
    trust = {"OCI_TLS": "enabled", "SSL_CERT_FILE": str(root / "ca.pem")}
    return options, {**trust, "OCI_USERNAME": "ci", "OCI_PASSWORD": "secret"}
