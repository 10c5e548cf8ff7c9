"""The digest of a build's source, and the ignore file, compared with what BuildKit really copies."""

from __future__ import annotations

import gzip
import io
import json
import os
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.build.address import Address
from regkit.build.automaton import Automaton
from regkit.build.buildctl import build
from regkit.build.context import context_entries, source_digest
from regkit.build.ignorefile import Ignore, _python, _words, parse_ignore
from regkit.build.means import Means
from regkit.build.spec import BuildSpec
from regkit.errors import UsageError
from regkit.events import ignore
from tests.build.conftest import MakeContext, spec_of

TREE = (
    *("a", "b.txt", "c.md", "README.md", "x y", "é", "a+b", "br[1]", "st*r", "#hash", "!bang", "tilde~", "back\\slash"),
    *("src/main.go", "src/main_test.go", "src/deep/er/main_test.go", "src/deep/x.log", "src/deep/er/keep.log"),
    *("node_modules/p/index.js", "node_modules/p/README.md", "vendor/q/file", "vendor/q/LICENSE", "docs/a.md"),
    *(
        ".git/config",
        ".env",
        ".hidden/f",
        "foo/bar/baz",
        "foo/bar/qux",
        "foo/x",
        "bar/foo/bar/y",
        "abc/abc",
        "d1/f1",
        "d2/f2",
    ),
)

TRICKY = {
    "nothing": "",
    "plain names": "a\nsrc\nfoo/bar\n",
    "comments, spaces, slashes": "# c\n\n  a  \n/foo/x\nvendor/\n./docs/a.md\n //d1//f1\nsrc/../d2\n #hash\n",
    "byte order mark": "\ufeffa\nb.txt\n",
    "windows lines": "a\r\nfoo/bar\r\n",
    "stars": "*.md\n*/*.md\nsrc/*\n",
    "double stars": "**/*.log\n**/README.md\nsrc/**/main_test.go\n",
    "double star ends": "vendor/**\n**/foo\n**bar\n",
    "all but": "*\n!src\n!docs/*.md\n",
    "all but, deep": "**\n!src/deep/er\n",
    "in again, out again": "src\n!src/deep\nsrc/deep/x.log\n!**/x.log\n",
    "last one wins": "!a\na\nb.txt\n!b.txt\n",
    "exception of a parent": "foo/bar\n!foo\n",
    "classes": "[abc]\nd[0-1]\nbr\\[1\\]\n[^a-z]*\nst\\*r\nback\\\\slash\n",
    "question marks": "?\n???\nx?y\n",
    "regexp characters": "a+b\n(x)\n$\n.env\n^a\n{a,b}.txt\n",
    "regexp alternatives": "[a]|zz*\n",
    "many stars": "*a*b*c*\n**/*main*_*t*.g*\n*o*/*a*/*\n!*o*/*a*/*z\n",
    "many double stars": "**/*e*/**/e*/**/*\n*/**/*.l**g\nd*1/**/*1\n",
    "stars and classes": "*[a-c]*[/.]*t*t\n[s*]*/*[^m]*.g*\n[!-.]*[a-z]*g*\n",
    "stars and alternatives": "*zz*|sr*/m*\n!*_t*|nothing\n",
    "stars and counts": "*o{2}*\n*{b,c}*\n**/*x{1,}*\n*/*{\n",
    "the files themselves": "Dockerfile\n.dockerignore\n",
    "git": ".git\n!.git/config\n",
    "dots": "..\n.\n../a\n/\n",
    "exclamation with a space": "*\n! src\n!  /foo/x\n",
    "trailing double star and exceptions": "foo/**\n!foo/bar/**\nfoo/bar/qux\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a context of strange names, with a link, an empty directory and a program."""
    root = tmp_path_factory.mktemp("tree")
    for name in TREE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "empty").mkdir()
    (root / "link").symlink_to("nowhere")
    (root / "a").chmod(0o755)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return root


def copied(layout: Path) -> set[str]:
    """List what the one image of a layout holds."""

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    found = json.loads((layout / "index.json").read_bytes())
    while "manifests" in found:
        found = json.loads(blob(found["manifests"][0]["digest"]))
    names: set[str] = set()
    for layer in found["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer["digest"])))) as archive:
            names |= {member.name.strip("/") for member in archive}
    return names


@pytest.mark.parametrize("name", TRICKY)
def test_ignore_file_leaves_out_what_buildkit_leaves_out(
    name: str, tree: Path, builder: Address, env: dict[str, str], tmp_path: Path
) -> None:
    """`COPY . /` with a real BuildKit holds exactly our entries, and the directories that lead to them."""
    (tree / ".dockerignore").write_bytes(TRICKY[name].encode())
    spec = spec_of(tree)
    build(spec, builder, tmp_path / "layout", ignore, env=env)

    ours = {entry.path for entry in context_entries(spec)}
    parents = {parent for path in ours for parent in _parents(path)}
    theirs = {path for path in copied(tmp_path / "layout") if path != ".git" and not path.startswith(".git/")}
    assert ours | parents == theirs


def _parents(path: str) -> set[str]:
    parent = posixpath.dirname(path)
    return {parent} | _parents(parent) if parent else set()


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "file").write_text("other"),
        lambda root: (root / "file").chmod(0o755),
        lambda root: (root / "file").rename(root / "file2"),
        lambda root: (root / "file").unlink(),
        lambda root: (root / "new").touch(),
        lambda root: (root / "new").mkdir(),
        lambda root: (root / "new").symlink_to("file"),
        lambda root: (root / "link").unlink() or (root / "link").symlink_to("elsewhere"),
        lambda root: (root / "link").unlink() or (root / "link").write_text("file"),
        lambda root: os.mkfifo(root / "fifo"),
        lambda root: (root / "Dockerfile").write_text("FROM scratch\nCOPY file /\n#"),
        lambda root: (root / ".dockerignore").write_text("file"),
        lambda root: (root / "Dockerfile.dockerignore").write_text("file"),
    ],
)
def test_change_that_buildkit_would_see_changes_the_digest(change: Change, context: MakeContext) -> None:
    """Content, kind, name, executable bit, target of a link, Dockerfile, ignore files."""
    made = context("FROM scratch\nCOPY file /\n", file="text")
    (made / "link").symlink_to("file")
    before = source_digest(spec_of(made), {})
    change(made)

    assert source_digest(spec_of(made), {}) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "file", (1, 1)),
        lambda root: (root / "file").chmod(0o600),
        lambda root: os.chown(root / "file", 1, 1),
        lambda root: (root / ".git").mkdir(),
        lambda root: (root / ".git").write_text("gitdir: elsewhere"),
        lambda root: (root / "out.log").write_text("ignored"),
        lambda root: (root / "sub").chmod(0o700),
    ],
)
def test_change_that_a_clone_does_not_keep_leaves_the_digest(change: Change, context: MakeContext) -> None:
    """Times, owners, other permissions, git's own directory, and what is ignored."""
    made = context("FROM scratch\nCOPY file /\n", file="text")
    (made / ".dockerignore").write_text("*.log")
    (made / "sub").mkdir()
    before = source_digest(spec_of(made), {})
    change(made)

    assert source_digest(spec_of(made), {}) == before


def test_target_and_arguments_are_part_of_the_digest(context: MakeContext) -> None:
    """The order of arguments isn't; the epoch and attestations are; neither platforms nor caches are."""
    spec = spec_of(context("FROM scratch"))

    def of(spec: BuildSpec, **env: str) -> str:
        return source_digest(spec, env)

    one = replace(spec, build_args=(("A", "1"), ("B", "2")))
    attested = replace(spec, attests=(("provenance", (("mode", "max"),)),))
    variants = [of(spec), of(replace(spec, target="x")), of(one), of(attested), of(spec, SOURCE_DATE_EPOCH="1")]
    assert len(set(variants)) == len(variants)
    assert of(one) == of(replace(spec, build_args=(("B", "2"), ("A", "1"))))
    assert of(replace(spec, build_args=(("A", "1B2"),))) != of(one)
    assert of(spec) == of(spec_of(spec.context, "linux/arm/v6"))
    assert of(spec) == of(replace(spec, means=Means.read({}, cache_from=["h.example/a"])))


def test_two_clones_have_the_same_digest(context: MakeContext, tmp_path: Path) -> None:
    """Cloned at other times, to other places, under another umask."""
    made = context("FROM scratch\nCOPY . /\n", file="text", program="#!")
    (made / "program").chmod(0o755)
    (made / "link").symlink_to("file")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(made)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    clones = []
    for umask in ("022", "077"):
        clone = tmp_path / umask
        script = 'umask "$1" && git clone -q "$2" "$3"'
        subprocess.run(["sh", "-c", script, "sh", umask, str(made), str(clone)], check=True)
        clones.append(clone)

    assert len({source_digest(spec_of(path), {}) for path in (made, *clones)}) == 1


def test_dockerfiles_own_ignore_file_is_taken_first(context: MakeContext) -> None:
    """As BuildKit does; the context's then doesn't count."""
    made = context("FROM scratch", kept="", left="")
    (made / ".dockerignore").write_text("kept")
    (made / "Dockerfile.dockerignore").write_text("left")

    names = {entry.path for entry in context_entries(spec_of(made))}
    assert names == {"kept", "Dockerfile", ".dockerignore", "Dockerfile.dockerignore"}


def test_file_that_cannot_be_read_is_a_usage_error(context: MakeContext) -> None:
    """The sentence names it."""
    made = context("FROM scratch", file="")
    spec = spec_of(made)
    (made / "Dockerfile").unlink()

    with pytest.raises(UsageError, match=r"the Dockerfile .*/Dockerfile can't be read: No such file"):
        source_digest(spec, {})


def test_ignore_file_without_end_is_refused(context: MakeContext) -> None:
    """It is read to a limit."""
    made = context("FROM scratch")
    (made / ".dockerignore").write_bytes(b"a\n" * (1 << 20))

    with pytest.raises(UsageError, match="is larger than"):
        source_digest(spec_of(made), {})


def decide(rules: Ignore, path: str) -> bool:
    """Walk down to a path, as the context is walked."""
    ignored = False
    parent: tuple[bool, ...] = ()
    parts = path.split("/")
    for depth in range(len(parts)):
        ignored, parent = rules.decide("/".join(parts[: depth + 1]), parent)
    return ignored


PARTS = st.text("ab.*?[]\\^$|+(){}- é!#", min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
LINES = st.lists(st.text("ab.*?[]\\^-!/ #|{},:+", max_size=8), max_size=5).map("\n".join)


@given(LINES, PATHS)
def test_any_ignore_file_is_decided(text: str, path: str) -> None:
    """Also one that BuildKit refuses; the same each time."""
    assert decide(parse_ignore(text.encode()), path) == decide(parse_ignore(text.encode()), path)


@given(LINES, PATHS)
def test_star_ignores_all_and_an_exception_for_all_undoes_it(text: str, path: str) -> None:
    """The last pattern that matches decides."""
    assert decide(parse_ignore(f"{text}\n**".encode()), path)
    assert not decide(parse_ignore(f"{text}\n**\n!**".encode()), path)


@given(PATHS)
def test_escaped_path_ignores_itself_and_what_is_below(path: str) -> None:
    """Every special character can be taken as itself; a path beside it stays."""
    escaped = "".join(f"\\{char}" if char in "*?[]\\^-!#" else char for char in path)
    if not any(char in "|{} " for char in path):  # a regular expression's to patternmatcher; or trimmed at the end
        rules = parse_ignore(f"/{escaped}".encode())

        assert decide(rules, path)
        assert decide(rules, f"{path}/below")
        assert not decide(rules, f"{path}x")


WORDS = st.text("ab*?[]-^\\./{}|,12", max_size=10)


@given(WORDS, st.lists(st.text("ab/.*[]{}|,12-\n", max_size=10), max_size=10))
def test_one_pass_finds_what_a_regular_expression_finds(pattern: str, paths: list[str]) -> None:
    """Where both can be asked, each path matches by both or by neither."""
    try:
        expression = _python("".join(_words(pattern)))
        whole, automaton = re.compile(rf"\A{expression}\Z", re.ASCII), Automaton(expression)
    except (re.error, ValueError):
        return

    for path in paths:
        assert automaton.matches(path) == (whole.search(path) is not None)


@pytest.mark.parametrize(
    ("line", "path", "last"),
    [
        ("*a" * 60 + "*b", "a" * 255, "b"),
        ("**/x" * 40 + "/**/*y", "x/" * 2000 + "z", "y"),
        ("*a{0,9}" * 9 + "b", "a" * 999, "b"),
    ],
)
def test_a_hostile_ignore_file_has_an_end(line: str, path: str, last: str) -> None:
    """However many stars stand in a line: a long path that lacks nothing but its last letter is decided, too."""
    rules = parse_ignore(line.encode())

    assert not rules.decide(path)[0]
    assert rules.decide(path + last)[0]
