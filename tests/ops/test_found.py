"""What a configuration that nobody named may say of what is published: all of its project, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.cli.app import publish_keys
from regkit.config.load import load_config
from regkit.errors import UsageError
from regkit.ops.found import check_entry
from tests.support.command import git

ENV = {"CANARY": "canary-secret"}
PATHS = {key for key, said in publish_keys().items() if said.kind == "path"}
VARIABLE = "takes the variable CANARY from the environment"
OUT = "leads out of the project: "
STORAGE = "sends this machine's own logins to the storage of a cache: "


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the root of a git repository, with a file outside of it, to which a link leads."""
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    git(root, "init")
    (tmp_path / "outside").write_text("canary-secret")
    for name in ("link", "sub/link"):
        (root / name).symlink_to(tmp_path / "outside")
    (root / "own").write_text("mine")
    (root / "inner").symlink_to("own")
    (root / "circle").symlink_to("circle")
    monkeypatch.chdir(root)
    return root


def check(directory: Path, key: str, value: str) -> None:
    file = directory / "regkit.toml"
    file.write_text(f'[publish.x]\nimage = "a.test/x"\n{key} = {value}\n')
    config = load_config(file, publish_keys)
    check_entry(config, "x", config.publish[0].values, ENV, PATHS)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("secret", "id=x,env=CANARY", VARIABLE),
        ("secret", "id=x,type=env,src=CANARY", VARIABLE),
        ("secret", "id=CANARY", VARIABLE),
        ("secret", "id=x,src=/etc/passwd", f"{OUT}/etc/passwd"),
        ("secret", "id=x,src=own,source=../outside", None),
        ("secret", "id=x,source=../outside", OUT),
        ("secret", "id=x,src=link", OUT),
        ("secret", "id=link", OUT),
        ("secret", "id=x,src=.git/config", OUT),
        ("secret", "id=x,src=own", None),
        ("secret", "id=x,src=inner", None),
        ("build-arg", "CANARY", VARIABLE),
        ("build-arg", "CANARY=", None),
        ("context", "..", f"{OUT}.."),
        ("context", "/", f"{OUT}/"),
        ("context", "sub", None),
        ("file", "link", OUT),
        ("file", "circle", OUT),
        ("file", "missing", None),
        ("readme", "link", OUT),
        ("readme", ".git/config", OUT),
        ("metadata-file", "../x", OUT),
        ("digest-file", ".git/hooks/pre-commit", OUT),
        ("dotenv", "build/x", None),
        ("image-refs", "/tmp/x", OUT),
        ("from", "ocidir:///var/lib/images", OUT),
        ("from", "oci:../layout:1", OUT),
        ("from", "oci-archive:link", OUT),
        ("from", "docker-archive:/x.tar:a/b:1", OUT),
        ("from", "/var", OUT),
        ("from", "ocidir://layout:1", None),
        ("from", "ghcr.io/owner/name:1", None),
        ("from", "-", None),
        ("cache-from", "type=local,src=/home", OUT),
        ("cache-to", "type=local,dest=cache,dest=../cache", OUT),
        ("cache-to", "type=local,dest=cache", None),
        ("cache-to", "type=s3,bucket=x", STORAGE),
        ("cache-to", "type=azblob,account_url=https://a.test", STORAGE),
        ("cache-from", "type=gha,url=https://a.test", STORAGE),
        ("cache-from", "type=gha,url_v2=https://a.test", STORAGE),
        ("cache-from", "type=gha,scope=main", None),
        ("cache-to", "type=registry,ref=a.test/x:cache", None),
        ("cache-to", "type=registry,ref=a.test/x,registry.insecure=true", "sends logins in the clear"),
        ("cache-to", "type=inline", None),
        ("builder", "*=tcp://builder.example.com:1234", "would send the source, and logins"),
        ("builder", "*=tcp://builder:1234", None),
        ("annotation", "CANARY=CANARY", None),
        ("test", "env", None),
    ],
)
def test_what_is_outside_takes_a_file_that_is_named(project: Path, key: str, value: str, reason: str | None) -> None:
    """One sentence, with file and line, and how to allow it; a link counts as what it leads to."""
    if reason is None:
        check(project, key, f'"{value}"')
        return
    with pytest.raises(UsageError) as raised:
        check(project, key, f'["ok=1", "{value}"]' if key == "build-arg" else f'"{value}"')
    assert reason in raised.value.message
    assert raised.value.message.startswith(str(project / "regkit.toml"))
    assert raised.value.hint == f"if that is right, name the file: --config {project / 'regkit.toml'}, or REGKIT_CONFIG"
    assert "canary-secret" not in raised.value.message


def test_the_project_is_the_repository(project: Path) -> None:
    """A file in a directory of it may name what is beside that; without a repository the directory is all."""
    check(project / "sub", "context", '".."')
    with pytest.raises(UsageError, match=r"regkit\.toml:3: publish\.x\.context leads out"):
        check(project / "sub", "context", '"../.."')
    (project / ".git").rename(project.parent / "gone")
    with pytest.raises(UsageError, match="leads out"):
        check(project / "sub", "context", '".."')
    check(project / "sub", "context", '"."')


def test_every_key_that_takes_a_path_is_known() -> None:
    """A new option with a path is looked at like the others."""
    assert {"context", "file", "readme", "metadata-file", "image-refs", "digest-file", "dotenv"} <= PATHS
