"""regkit.testing: the fixture in this process, and in another project that installs the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import regkit.testing
from regkit.errors import UsageError
from regkit.testing import Answered, RunningRegistry, running_registry
from tests.support.command import clean_environment, output_of, peer
from tests.support.command import regkit as run_regkit

ROOT = Path(__file__).parent.parent


@pytest.fixture
def registry() -> Iterator[RunningRegistry]:
    """Give what `regkit_registry` gives: this environment may not have the plugin's entry point."""
    with running_registry() as running:
        yield running


def test_an_image_is_there(registry: RunningRegistry) -> None:
    """Real tools find it complete, under its tag and its digest; the same arguments make the same digest."""
    image = registry.push_image("team/app:1")
    again = registry.push_image("team/app:2")

    assert image == again
    assert registry.tags("team/app") == dict.fromkeys("12", image.partition("@")[2])
    output_of(peer("crane", "validate", "--remote", f"{registry.host}/team/app:1"))
    output_of(run_regkit("verify", image, "--blobs"))


def test_images_for_platforms(registry: RunningRegistry) -> None:
    """Several platforms are an index; one is, if asked for; without a tag nothing is tagged."""
    platforms = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
    several = registry.push_image("app", platforms=platforms)
    one = registry.push_image("app:one", index=True)
    other = registry.push_image("app:other", content="other")

    output_of(run_regkit("verify", several, "--platforms", ",".join(platforms)))
    output_of(run_regkit("verify", one, "--platforms", "linux/amd64"))
    assert list(registry.tags("app")) == ["one", "other"]
    assert len({several, one, other}) == 3


def test_requests_are_listed(registry: RunningRegistry) -> None:
    """All that clients asked for, in order; what the test itself put there isn't among them."""
    registry.push_image("app:1")
    assert not registry.requests
    digest = output_of(run_regkit("resolve", f"{registry.host}/app:1")).partition("@")[2].strip()

    assert list(registry.requests) == [Answered("HEAD", "/v2/app/manifests/1", 200)]
    assert digest == registry.tags("app")["1"]
    registry.forget_requests()
    assert not registry.requests


def test_quirks_are_switched(registry: RunningRegistry) -> None:
    """On for a block, or until they are switched off; an unknown one is an error, and then none is on."""
    name = f"{registry.host}/app"
    registry.push_image("app:1")
    with registry.quirk("deletes-off", "lag=2"):
        assert run_regkit("tag", "rm", "--yes", f"{name}:1").returncode == 9
    registry.switch_on("read-only")
    assert run_regkit("tag", "set", f"{name}:1", "2").returncode == 9
    registry.switch_off("read-only")
    output_of(run_regkit("tag", "set", f"{name}:1", "2"))
    output_of(run_regkit("tag", "rm", "--yes", f"{name}:1"))

    assert list(registry.tags("app")) == ["2"]
    with pytest.raises(UsageError, match="not a quirk"), registry.quirk("nothing"):
        pass


def test_each_test_has_its_own(registry: RunningRegistry) -> None:
    """Nothing is left of other tests; two are two."""
    assert registry.tags("app") == {}
    with running_registry() as other:
        other.push_image("app:1")
        assert other.url == f"http://{other.host}" != registry.url
        assert registry.tags("app") == {}


@pytest.mark.parametrize("name", ["", "UPPER", "app:", f"app@sha256:{'0' * 64}"])
def test_what_is_no_name(registry: RunningRegistry, name: str) -> None:
    """A name that clients couldn't ask for is refused."""
    with pytest.raises(UsageError):
        registry.push_image(name)


def test_all_is_pinned() -> None:
    """Exactly these names are what other projects rest on."""
    assert sorted(regkit.testing.__all__) == ["Answered", "RunningRegistry", "regkit_registry", "running_registry"]
    assert all(getattr(regkit.testing, name).__doc__ for name in regkit.testing.__all__)


def test_the_plugin_costs_no_start() -> None:
    """Every run of pytest loads it: nothing of regkit comes with it but the package."""
    report = "print(*sorted(set(sys.modules) - before))"
    program = f"import pytest, sys; before = set(sys.modules); import regkit.testing; {report}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == {"regkit", "regkit.testing"}


def test_another_project(tmp_path: Path) -> None:
    """The guide's example runs in a fresh environment with the wheel, its extra, and nothing of ours."""
    wheels, project = tmp_path / "wheels", tmp_path / "project"
    project.mkdir()
    guide = (ROOT / "docs/guides/testing.md").read_text()
    (project / "test_example.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)))
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT), cwd=tmp_path)
    (wheel,) = wheels.iterdir()
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    extra = f"{wheel}[testing]"
    run("-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), extra, cwd=project, python=python)

    shown = run("-m", "pytest", "-q", cwd=project, python=python)

    assert re.search(rf"^{guide.count('def test_')} passed", shown, re.MULTILINE), shown
    assert "regkit_registry" in run("-m", "pytest", "--fixtures", "-q", cwd=project, python=python)


def run(*arguments: str, cwd: Path, python: Path | None = None) -> str:
    """Run Python, ours or another one's, with the environment's package index, and nothing else of it."""
    env = clean_environment(cwd) | {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    argv = [str(python or sys.executable), *arguments]
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
