"""What a terminal shows, kept in testdata/screens: `cat` one to see it. `make screens` writes them anew, to be seen.

Every screen is of a real command, in a real pseudo-terminal, on real BuildKit and a real registry. What differs from
run to run is written the same: digests by the order in which they appear, times, sizes and ports as zeros.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.registries import distribution
from tests.support.terminal import Shown, shown

SCREENS = Path(__file__).parent.parent.parent / "testdata" / "screens"
PLATFORMS = "linux/amd64,linux/arm64/v8,linux/arm/v7,linux/arm/v6"
_HEX = re.compile(r"(?<!\w)(?:[0-9a-f]\n?){63}[0-9a-f](?!\w)|(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")
"""A digest, which the screen's end may break, or the beginning of one."""
_TIME = re.compile(r"( *)((?:\x1b\[[\d;]*m)*)(?<![\d.])(\d+\.\d+s)\b")
_SIZE = re.compile(r"\b\d+(?:\.\d+)?(?= [KMG]?i?B\b)")
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{5}")


@dataclass
class Normal:
    """Writes what differs from run to run the same, as wide as it was."""

    known: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> str:
        """Write a screen."""
        text = _HEX.sub(self._hex, text)
        text = _TIME.sub(lambda found: " " * (len(found[1]) + len(found[3]) - 4) + found[2] + "0.0s", text)
        text = _SIZE.sub(lambda found: re.sub(r"\d", "0", found[0]), text)
        return _PORT.sub("00000", text)

    def _hex(self, found: re.Match[str]) -> str:
        start = found[0].replace("\n", "")[:12]
        if start not in self.known:
            self.known.append(start)
        digits = itertools.cycle(f"{self.known.index(start) + 1:02x}")
        return "".join(c if c == "\n" else next(digits) for c in found[0])


@pytest.fixture(scope="module", params=[80, 120])
def columns(request: pytest.FixtureRequest) -> int:
    width: int = request.param
    return width


@pytest.fixture(scope="module", params=["color", "plain"])
def colored(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "color")


@pytest.fixture(scope="module")
def screens(
    columns: int, colored: bool, builder: str, hello_origin: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Shown]]:
    """Give the screens of one release's life: all commands, one after the other, with one registry and one builder."""
    root = tmp_path_factory.mktemp("screens")
    context = root / "hello"
    _copy(hello_origin, context)
    env = {"BUILDKIT_HOST": builder, **({} if colored else {"NO_COLOR": "1"})}

    with distribution(root / "registry") as registry:
        image = f"{registry.host}/team/hello"

        def run(*args: str) -> Shown:
            return shown(*args, columns=columns, home=root, env=env, cwd=root)

        def publish(version: str, *more: str, platforms: str = PLATFORMS) -> Shown:
            return run("publish", "hello", "--image", image, "--platform", platforms, "--version", version, *more)

        def tested(version: str, *command: str) -> Shown:
            return publish(version, "--test", json.dumps(command), platforms="linux/amd64")

        found = {
            "publish": publish("v1.2.3"),
            "publish-cached": publish("v1.2.4"),
            "publish-older": publish("v1.1.9"),
            "publish-again": publish("v1.2.4"),
            "plan": run("plan", "hello", "--image", image, "--platform", PLATFORMS, "--version", "v2.0.0"),
            "inspect": run("inspect", f"{image}:1.2.3"),
            "inspect-tree": run("inspect", f"{image}:1.2.3", "--format", "tree"),
            "tested": tested("v3.0.0", "/hello"),
            "test-failed": tested("v3.1.0", "/hello", "record"),
            "build": run("build", "hello", "--image", image, "--platform", PLATFORMS, "--push-by-digest"),
            "tag-ls": run("tag", "ls", image, "--sort", "semver"),
        }
        _change(context)
        found["refused"] = publish("v1.2.4")
        _break(context)
        found["build-failed"] = publish("v1.3.0", platforms="linux/amd64")
        yield found


def _copy(origin: Path, context: Path) -> None:
    """Make a context of which nothing is in the builder's cache yet."""
    shutil.copytree(origin, context, ignore=shutil.ignore_patterns(".git"))
    text = (context / "Dockerfile").read_text()
    copied = "COPY bin/hello-${TARGETARCH}${TARGETVARIANT} /hello\n"
    assert copied in text
    (context / "Dockerfile").write_text(text.replace(copied, copied.replace("hello", "unique") + copied))
    _change(context)


def _change(context: Path) -> None:
    """Change a file of each platform: what they had alike would be built for whoever comes first."""
    for name in ("amd64", "arm64", "armv7", "armv6"):
        (context / f"bin/unique-{name}").write_text(os.urandom(16).hex())


def _break(context: Path) -> None:
    """Add a stage in which the program isn't told its platform, and fails."""
    with (context / "Dockerfile").open("a") as file:
        file.write('FROM scratch\nCOPY --from=0 /hello /hello\nRUN ["/hello", "record"]\n')


NAMES = (
    "publish",
    "publish-cached",
    "publish-older",
    "publish-again",
    "plan",
    "inspect",
    "inspect-tree",
    "tested",
    "test-failed",
    "build",
    "tag-ls",
    "refused",
    "build-failed",
)


@pytest.mark.parametrize("name", NAMES)
def test_screen(screens: dict[str, Shown], columns: int, colored: bool, name: str) -> None:
    """The screen is the one that was looked at."""
    screen = screens[name]
    kept = SCREENS / f"{name}-{columns}{'-color' if colored else ''}.txt"
    now = Normal()(screen.ansi if colored else screen.text) + "\n"
    if os.environ.get("REGKIT_TEST_SCREENS") == "write":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(now)

    assert now == kept.read_text()


def test_screens_fit_and_are_left_as_they_were(screens: dict[str, Shown], columns: int, colored: bool) -> None:
    """No line is as wide as the screen by our own doing; the cursor is there again; without colours there are none."""
    for name, screen in screens.items():
        assert screen.cursor_visible, name
        assert ("\x1b" in screen.ansi) <= colored, name
        assert max(map(len, screen.text.splitlines())) <= columns, name
    assert [name for name, screen in screens.items() if screen.exit_code] == ["test-failed", "refused", "build-failed"]


def test_every_kept_screen_is_of_a_test() -> None:
    """What isn't shown any more isn't kept."""
    kinds = [f"{columns}{color}" for columns in (80, 120) for color in ("", "-color")]

    assert {path.name for path in SCREENS.iterdir()} == {f"{name}-{kind}.txt" for name in NAMES for kind in kinds}
