from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from regkit.cli.app import publish_keys
from regkit.config.load import load_config
from regkit.config.spec import (
    PROVIDERS,
    VENDORS,
    BuilderConfig,
    CleanupConfig,
    Config,
    ReadmeConfig,
    RegistryConfig,
)
from regkit.errors import UsageError
from regkit.vendors.capability import TABLE


def load(directory: Path, text: str, name: str = "regkit.toml") -> Config:
    path = directory / name
    path.write_text(text)
    return load_config(path, publish_keys)


def test_a_whole_file(tmp_path: Path) -> None:
    """Every section becomes a frozen value: paths are the file's, hosts and repositories have their full names."""
    for name in ("ca.pem", "README.md"):
        (tmp_path / name).touch()
    (tmp_path / "tls").mkdir()
    config = load(
        tmp_path,
        """
        schema = 1

        [publish.hello]
        image = ["ghcr.io/me/hello", "me/hello"]
        platform = "linux/amd64,linux/arm64"
        immutable = false
        context = "src"

        [publish.tools]
        image = "ghcr.io/me/tools"
        from = "ocidir://built"

        [builders]
        "linux/arm64" = { addr = "tcp://arm:1234", tls-dir = "tls" }
        "linux/*" = { addr = "unix:///run/buildkit.sock" }

        [registry."index.docker.io"]
        mirror = ["mirror.gcr.io", "harbor.example/hub"]
        concurrency = 4
        requests-per-second = 2.5
        vendor = "dockerhub"
        api = "https://hub.docker.com/"

        [registry."registry.example:5000"]
        ca-file = "ca.pem"

        [cleanup.nightly]
        image = "me/hello"
        match = "^nightly-"
        keep = 3
        keep-semver = 2
        older-than = "2w"
        untagged = true

        [readme]
        image = "me/hello"
        file = "README.md"
        short = "Hello"
        provider = "dockerhub"
        api = "http://localhost:8080"
        """,
    )

    assert [entry.name for entry in config.publish] == ["hello", "tools"]
    assert dict(config.publish[0].values) == {
        "image": ["ghcr.io/me/hello", "me/hello"],
        "platform": ["linux/amd64,linux/arm64"],
        "immutable": False,
        "context": str(tmp_path / "src"),
    }
    assert config.publish[1].values["from"] == [f"ocidir://{tmp_path}/built"]
    assert config.builders == (
        BuilderConfig("linux/arm64", "tcp://arm:1234", tmp_path / "tls"),
        BuilderConfig("linux/*", "unix:///run/buildkit.sock"),
    )
    assert config.registries == {
        "docker.io": RegistryConfig(
            "docker.io",
            concurrency=4,
            requests_per_second=2.5,
            mirrors=("mirror.gcr.io", "harbor.example/hub"),
            vendor="dockerhub",
            api="https://hub.docker.com",
        ),
        "registry.example:5000": RegistryConfig("registry.example:5000", ca_file=tmp_path / "ca.pem"),
    }
    assert config.cleanups == (
        CleanupConfig("nightly", ("docker.io/me/hello",), "^nightly-", 3, 2, timedelta(weeks=2), untagged=True),
    )
    assert config.readme == ReadmeConfig(
        ("docker.io/me/hello",), tmp_path / "README.md", "Hello", "dockerhub", "http://localhost:8080"
    )


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    """Also `/dev/null`, with which one uses none."""
    assert load(tmp_path, "").publish == ()
    assert load_config(Path("/dev/null"), publish_keys).registries == {}


def test_a_pyproject(tmp_path: Path) -> None:
    """Everything stands under tool.regkit, and errors have the line in that file."""
    text = '[project]\nname = "x"\n[tool.regkit.publish.a]\nimage = "a/b"\n'
    assert [entry.name for entry in load(tmp_path, text, "pyproject.toml").publish] == ["a"]

    with pytest.raises(UsageError, match=r"pyproject\.toml:5: \[tool\.regkit\.publish\.a\] has an unknown key 'imag'"):
        load(tmp_path, f"{text}imag = 'x'\n", "pyproject.toml")
    with pytest.raises(UsageError, match=r"pyproject\.toml:1: tool\.regkit isn't a table"):
        load(tmp_path, "tool.regkit = 1\n", "pyproject.toml")
    for none in ("tool = 1\n", "[tool.other]\n", ""):
        with pytest.raises(UsageError, match=r"pyproject\.toml has no \[tool\.regkit\]"):
            load(tmp_path, none, "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        # The file itself
        ("schema = 1\nschema = 2\n", 2, "this isn't TOML: cannot overwrite a value", None),
        ("a = [1,\n2\n", 2, "this isn't TOML: ", None),
        ("# x\nschema = 2\n", 2, "schema is 2, and only 1 is known", "write schema = 1"),
        ("schema = '1'\n", 1, "schema is '1', and only 1 is known", "write schema = 1"),
        ("schema = true\n", 1, "schema is True, and only 1 is known", "write schema = 1"),
        ("\n[publsh.x]\n", 2, "the file has an unknown key 'publsh'", "did you mean 'publish'?"),
        ("zzz = 1\n", 1, "the file has an unknown key 'zzz'", "known are schema, publish, builders"),
        # [publish.NAME]
        ("[publish]\nimage = 'a/b'\n", 2, "publish.image isn't a table", "write [publish.NAME]"),
        ("publish = 1\n", 1, "publish isn't a table", "write [publish.NAME]"),
        ("[publish.'a b']\n", 1, "'a b' can't be a name", "use letters"),
        ("[publish.x]\nplattform = 'a'\n", 2, "[publish.x] has an unknown key 'plattform'", "did you mean 'platform'?"),
        (
            "[publish.x]\nbuild_arg = 'a'\n",
            2,
            "[publish.x] has an unknown key 'build_arg'",
            "did you mean 'build-arg'?",
        ),
        ("[publish.x]\nimage = 3\n", 2, "publish.x.image takes a string or an array of strings, not 3", None),
        ("[publish.x]\nimage = [\n'a', 3]\n", 2, "publish.x.image takes a string or an array", None),
        ("[publish.x]\nimage = ''\n", 2, "publish.x.image takes a string or an array of strings, not ''", None),
        ("publish.x.image = {a = 1}\n", 1, "publish.x.image takes a string or an array of strings, not a table", None),
        ("[publish.x]\nversion = 1.2\n", 2, "publish.x.version takes a string, not 1.2", None),
        ("[publish.x]\nversion = ['1']\n", 2, "publish.x.version takes a string, not an array", None),
        ("[publish.x]\nrebuild = 'yes'\n", 2, "publish.x.rebuild takes true or false, not 'yes'", None),
        ("[publish.x]\nintermediate = 'no'\n", 2, "publish.x.intermediate: 'no' is not one of 'digest', 'tag'", None),
        ("[publish.x]\ndry-run = true\n", 2, "publish.x.dry-run: says what one call does", None),
        ("[publish.x]\nformat = 'json'\n", 2, "publish.x.format: says what one call does", None),
        # [builders]
        ("builders = []\n", 1, "builders isn't a table", 'write "linux/arm64" = {'),
        ("[builders]\n'linux/arm64' = 'tcp://x'\n", 2, 'builders."linux/arm64" isn\'t a table', 'write "linux/arm64"'),
        ("[builders]\n'linux/foo' = {addr='tcp://x'}\n", 2, 'builders."linux/foo": unknown platform', "known are"),
        ("[builders]\n'linux/foo/*' = {addr='tcp://x'}\n", 2, 'builders."linux/foo/*": unknown platform', "known are"),
        ("[builders]\n'*' = {}\n", 2, 'builders."*" has no addr', 'write "linux/arm64" = {'),
        ("[builders]\n'*' = {addr='http://x'}\n", 2, 'builders."*".addr takes an address of BuildKit\'s', None),
        ("[builders]\n'*'.addr='unix:///s'\n'*'.tls-dir='.'\n", 3, 'builders."*": tls-dir is for tcp://', None),
        (
            "[builders]\n'*' = {addr='tcp://x', tls-dir='no'}\n",
            2,
            'builders."*".tls-dir: there is no directory',
            "a path",
        ),
        # [registry."HOST"]
        ("[registry]\nghcr.io = 1\n", 2, "not a registry's host: 'ghcr'", 'write [registry."ghcr.io"]'),
        ("[registry.'gh cr']\n", 1, "not a registry's host: 'gh cr'", 'write [registry."ghcr.io"]'),
        ("[registry.'ghcr.io/a']\n", 1, "not a registry's host: 'ghcr.io/a'", 'write [registry."ghcr.io"]'),
        (
            "[registry.'docker.io']\n[registry.'index.docker.io']\n",
            2,
            '[registry."index.docker.io"] is the registry',
            None,
        ),
        ("[registry.'a.b']\nplain-http = 1\n", 2, 'registry."a.b".plain-http takes true or false, not 1', None),
        ("[registry.'a.b']\nca-file = 'no'\n", 2, 'registry."a.b".ca-file: there is no file', "a path is relative"),
        (
            "[registry.'a.b']\nplain-http = true\nca-file = 'regkit.toml'\n",
            3,
            '[registry."a.b"] has a ca-file, and',
            None,
        ),
        ("[registry.'a.b']\nconcurrency = 0\n", 2, 'registry."a.b".concurrency takes a whole number from 1 on', None),
        ("[registry.'a.b']\nconcurrency = true\n", 2, "takes a whole number from 1 on, not true", None),
        ("[registry.'a.b']\nrequests-per-second = inf\n", 2, "takes a number above 0, not inf", None),
        ("[registry.'a.b']\nrequests-per-second = -1\n", 2, "takes a number above 0, not -1", None),
        ("[registry.'a.b']\nmirror = 'a.b'\n", 2, '[registry."a.b"] is its own mirror', None),
        ("[registry.'a.b']\nmirror = 'https://x'\n", 2, "not a registry's host: 'https:'", "write host"),
        ("[registry.'a.b']\nmirror = 'x.y/UP'\n", 2, "has no valid repository name", "write registry"),
        ("[registry.'a.b']\nvendor = 'me'\n", 2, "takes one of 'distribution', ", None),
        ("[registry.'a.b']\napi = 'http://x'\n", 2, "takes an address that begins with https://", None),
        ("[registry.'a.b']\napi = 'https://u:p@x'\n", 2, "takes an address that begins with https://", None),
        # [cleanup.NAME], [readme]
        ("[cleanup]\nkeep = 1\n", 2, "cleanup.keep isn't a table", "write [cleanup.NAME]"),
        ("[cleanup.x]\nmatch = '.'\n", 1, "[cleanup.x] says nothing of what is kept", "give keep"),
        ("[cleanup.x]\nkeep = 1\nmatch = '('\n", 3, "cleanup.x.match: not a regular expression", None),
        ("[cleanup.x]\nolder-than = '30'\n", 2, "cleanup.x.older-than takes a time as '90m'", None),
        ("[cleanup.x]\nolder-than = 30\n", 2, "cleanup.x.older-than takes a string, not 30", None),
        (
            "[cleanup.x]\nkeep = 1\nimage = 'a/b:1'\n",
            3,
            "cleanup.x.image: 'a/b:1' names more than a repository",
            "write",
        ),
        ("[readme]\nfile = 'no'\n", 2, "readme.file: there is no file", "a path is relative"),
        ("[readme]\nprovider = 'ghcr'\n", 2, "readme.provider takes one of 'dockerhub'", None),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_and_line(
    tmp_path: Path, text: str, line: int, said: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)

    assert caught.value.message.startswith(f"{tmp_path}/regkit.toml:{line}: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert (hint is None and caught.value.hint is None) or (hint or "") in str(caught.value.hint)


def test_what_is_hostile(tmp_path: Path) -> None:
    """A file that would make the parser itself fail is wrong, and no more than that."""
    with pytest.raises(UsageError, match="nests deeper"):
        load(tmp_path, f"a = {'[' * 5000}{']' * 5000}\n")
    with pytest.raises(UsageError, match=r"regkit\.toml:1: this isn't TOML"):
        load(tmp_path, f"schema = {'9' * 10_000}\n")


def test_spellings_that_mean_the_same(tmp_path: Path) -> None:
    """A byte order mark, line ends of another system, and a host in capitals."""
    (tmp_path / "regkit.toml").write_bytes(b"\xef\xbb\xbfschema = 1\r\n[registry.'GHCR.io']\r\nconcurrency = 2\r\n")

    assert set(load_config(tmp_path / "regkit.toml", publish_keys).registries) == {"ghcr.io"}


def test_the_vendors_are_those_that_are_known() -> None:
    assert [row.name for row in TABLE] == list(VENDORS)
    assert set(PROVIDERS) <= {row.name for row in TABLE if row.has_api}


def test_the_keys_of_an_image_are_the_commands_options() -> None:
    """What the reference of the command lists is a key, apart from what one call does."""
    keys = publish_keys()

    assert {"image", "platform", "context", "from", "tag", "build-arg", "immutable"} <= {
        k for k in keys if keys[k].kind
    }
    assert {key for key in keys if not keys[key].kind} == {"dry-run", "format", "name", "plan"}
