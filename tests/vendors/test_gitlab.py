"""GitLab: where a repository is, and as whom one asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regkit.errors import AccessDenied, Refused, UsageError
from regkit.oci.reference import Reference
from regkit.protocol.auth import Login
from regkit.vendors.api import connect
from regkit.vendors.vendor import Description
from tests.support.vendors.double import serving
from tests.support.vendors.gitlab import GitLabDouble, Repository
from tests.transport.support import Patient
from tests.vendors.support import CANARY, opened

AT = "2026-01-02T03:04:05Z"


@pytest.fixture
def lab() -> Iterator[GitLabDouble]:
    tags = {"1": ("sha256:1", AT), "2": ("sha256:2", AT)}
    double = GitLabDouble(
        tokens={CANARY: {"api"}},
        job_tokens={f"job-{CANARY}"},
        projects={
            "group": [],
            "group/sub/project": [
                Repository(1, "group/sub/project", dict(tags)),
                Repository(2, "group/sub/project/app/part", dict(tags)),
            ],
        },
    )
    with serving(double):
        yield double


@pytest.mark.parametrize(("name", "number"), [("group/sub/project", 1), ("group/sub/project/app/part", 2)])
def test_the_project_is_found_once(lab: GitLabDouble, name: str, number: int) -> None:
    """The longest path is asked first; what was found is known for the next tags."""
    with opened(lab, f"registry.gitlab.com/{name}", Login("me", CANARY)) as (api, _):
        for tag in ("1", "2"):
            api.run(api.vendor.delete_tag(api.repository, tag))

    deletions = [line.split()[1].rpartition("/projects/")[2] for line in lab.sent() if line.startswith("DELETE")]
    assert deletions == [f"group%2Fsub%2Fproject/registry/repositories/{number}/tags/{tag}" for tag in ("1", "2")]
    assert len(lab.calls) == name.count("/") - 1 + 2


def test_a_repository_that_no_project_has(lab: GitLabDouble) -> None:
    with opened(lab, "registry.gitlab.com/group/sub/other", Login("me", CANARY)) as (api, _):
        api.run(api.vendor.delete_tag(api.repository, "1"))
        assert api.run(api.vendor.immutable_tags(api.repository, ["1"])) == frozenset()
    assert not [line for line in lab.sent() if line.startswith("DELETE")]


def test_before_there_were_rules(lab: GitLabDouble) -> None:
    """A GitLab that doesn't know the question has no rules."""
    with opened(lab, "registry.gitlab.com/group/sub/project", Login("me", CANARY)) as (api, _):
        assert api.run(api.vendor.immutable_tags(api.repository, ["1"])) == frozenset()


def test_a_jobs_token_goes_under_its_own_name(lab: GitLabDouble) -> None:
    login = Login("gitlab-ci-token", f"job-{CANARY}")
    with opened(lab, "registry.gitlab.com/group/sub/project", login) as (api, _):
        assert len(api.run(api.vendor.list_tags(api.repository))) == 2
    assert {"job-token", "private-token"} & lab.calls[0].headers.keys() == {"job-token"}


def test_a_login_without_a_token(lab: GitLabDouble) -> None:
    login = Login("me", "", "x", identity_token=CANARY)
    with pytest.raises(AccessDenied, match="has no token"), opened(lab, "registry.gitlab.com/group/app", login):
        pass


def test_a_gitlab_of_ones_own() -> None:
    """Its API is elsewhere, and its registry doesn't say where."""
    with Patient() as session, pytest.raises(UsageError) as caught:
        connect(session, Reference.parse_name("reg.test/group/app"), vendor="gitlab")
    assert 'api = "https://…" in [registry."reg.test"]' in str(caught.value.hint)


def test_no_page_and_no_versions(lab: GitLabDouble) -> None:
    with opened(lab, "registry.gitlab.com/group/app", Login("me", CANARY)) as (api, _):
        for flow in (
            lambda: api.vendor.read_description(api.repository),
            lambda: api.vendor.write_description(api.repository, Description("x")),
            lambda: api.vendor.delete_version(api.repository, "1", None),  # type: ignore[arg-type]
        ):
            with pytest.raises(Refused):
                api.run(flow())
    assert lab.calls == []
