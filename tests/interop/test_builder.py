"""`regkit builder up|status|down`: a real buildkitd that stays, what it leaves, and what stands in its way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.builders import BUSYBOX, certificates
from tests.support.command import clean_environment, output_of, regkit, started
from tests.support.registries import embedded
from tests.support.waiting import until

NOBODY = 65534
SH = '"/busybox", "sh", "-c"'


class Home:
    """A user's home, with what is below it, and what runs and is mounted because of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = self.files()

    def regkit(self, *words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return regkit(*words, home=self.path, cwd=self.path, env=env)

    def files(self) -> set[str]:
        """Tell what lies in it, but for the directory that later runs use again."""
        found = {str(path.relative_to(self.path)) for path in self.path.rglob("*")}
        return found - {".cache", ".cache/regkit", ".cache/regkit/run"}

    def processes(self) -> list[int]:
        """Tell what runs whose command line names it."""
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if str(self.path) in read(path)]

    def assert_nothing_is_left(self) -> None:
        assert self.files() == self.before
        assert self.processes() == []
        assert str(self.path) not in Path("/proc/mounts").read_text()


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Give a home with a context; a builder that a failed test leaves up is ended."""
    path = tmp_path / "home"
    path.mkdir()
    shutil.copy(BUSYBOX, path / "busybox")
    (path / "Dockerfile").write_text(f'FROM scratch\nCOPY busybox /\nRUN [{SH}, "echo ran"]\n')
    made = Home(path)
    yield made
    made.regkit("builder", "down")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_up_status_down(home: Home) -> None:
    """It says where it is, of which version, and what it builds; it builds without being named; nothing is left."""
    done = home.regkit("builder", "up")
    address = output_of(done).strip()
    assert "started buildkitd v" in done.stderr

    shown = dict(line.split(maxsplit=1) for line in output_of(home.regkit("builder", "status")).splitlines())
    assert shown["address"] == address
    assert shown["version"] in done.stderr
    assert shown["platforms"].split(", ")[0] == "linux/amd64"
    said = json.loads(output_of(home.regkit("builder", "status", "--format", "json")))
    assert (said["schema"], said["address"], ", ".join(said["platforms"])) == (1, address, shown["platforms"])

    built = home.regkit("--progress", "json", "build", home.path)
    events = [json.loads(line) for line in built.stderr.splitlines()]
    assert "ran" in [event["line"] for event in events if event["event"] == "StepLog"]
    assert "BuilderStarted" not in [event["event"] for event in events]
    named = home.regkit("builder", "status", "--addr", address)
    assert output_of(named) == output_of(home.regkit("builder", "status"))

    down = home.regkit("builder", "down")
    assert (output_of(down), down.stderr) == ("", "the builder is down\n")
    home.assert_nothing_is_left()


def test_again_is_no_error(home: Home) -> None:
    """A second `up` takes the one that runs, a second `down` finds none; a `status` then ends with 5."""
    first = home.regkit("builder", "up", "--format", "json")
    before = home.processes()
    again = home.regkit("builder", "up", "--platform", "linux/amd64", "--format", "json")

    assert (json.loads(first.stdout)["started"], json.loads(again.stdout)["started"]) == (True, False)
    assert json.loads(first.stdout)["address"] == json.loads(again.stdout)["address"]
    assert home.processes() == before
    assert [home.regkit("builder", "down").returncode for _ in range(2)] == [0, 0]
    none = home.regkit("builder", "status")
    assert (none.returncode, "no builder is up" in none.stderr) == (5, True)
    home.assert_nothing_is_left()


def test_two_at_the_same_time_start_one(home: Home) -> None:
    """Whoever comes second waits, and takes the first one's."""
    with started("builder", "up", home=home.path) as one, started("builder", "up", home=home.path) as two:
        ends = [process.communicate(timeout=60) for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), ends
    assert ends[0][0] == ends[1][0]
    daemons = [pid for pid in home.processes() if "unshare" in read(Path(f"/proc/{pid}/cmdline"))]
    assert len(daemons) == 1


def test_one_that_was_asked_for_otherwise_is_named(home: Home) -> None:
    """Another address, another platform, without root: exit 2, a sentence, and the command that helps."""
    output_of(home.regkit("builder", "up", "--platform", "linux/amd64,linux/arm64"))

    for words, said in (
        (("--addr", "tcp://127.0.0.1:1"), "listens on unix://"),
        (("--platform", "windows/amd64"), "doesn't serve windows/amd64"),
        (("--rootless",), "as root"),
    ):
        done = home.regkit("builder", "up", *words)

        assert done.returncode == 2, done.stderr
        assert f"a builder runs already, and {said}" in done.stderr or f"a builder runs already, {said}" in done.stderr
        assert "hint: end it first: regkit builder down" in done.stderr


def test_down_during_a_step(home: Home) -> None:
    """The build is told that its builder was lost; of the step and its mounts nothing is left."""
    (home.path / "Dockerfile").write_text(
        f'FROM scratch\nCOPY busybox /\nRUN [{SH}, "echo asleep; exec /busybox sleep 31536006"]\n'
    )
    home.before = home.files()
    output_of(home.regkit("builder", "up"))
    with started("--progress", "json", "build", home.path, home=home.path) as build:
        assert build.stderr is not None
        assert any(json.loads(line).get("line") == "asleep" for line in build.stderr)
        output_of(home.regkit("builder", "down"))
        rest = build.stderr.read().decode()
        assert build.wait(60) in (6, 75), rest

    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if "31536006" in read(path)]
    home.assert_nothing_is_left()


def test_one_that_was_killed_is_not_up(home: Home) -> None:
    """Whoever killed it: status says that none is up, a build starts its own, `up` starts another one."""
    output_of(home.regkit("builder", "up"))
    os.killpg(json.loads((home.path / ".cache/regkit/builder/state.json").read_text())["process"], signal.SIGKILL)
    until(lambda: not home.processes(), "the daemon is gone")

    assert home.regkit("builder", "status").returncode == 5
    events = [json.loads(line) for line in home.regkit("--progress", "json", "build", home.path).stderr.splitlines()]
    assert "BuilderStarted" in [event["event"] for event in events]
    output_of(home.regkit("builder", "up"))
    output_of(home.regkit("builder", "status"))
    output_of(home.regkit("builder", "down"))
    assert home.processes() == []


def test_by_tcp_on_this_machine(home: Home) -> None:
    """What the old scripts had: a port here, for BUILDKIT_HOST."""
    address = f"tcp://127.0.0.1:{free_port()}"

    assert output_of(home.regkit("builder", "up", "--addr", address)) == f"{address}\n"

    output_of(home.regkit("build", home.path, env={"BUILDKIT_HOST": address}))
    assert output_of(home.regkit("builder", "status")).startswith(f"address    {address}\n")
    output_of(home.regkit("builder", "down"))
    home.assert_nothing_is_left()
    assert home.regkit("builder", "status", "--addr", address).returncode == 75


def test_on_another_socket(home: Home, tmp_path: Path) -> None:
    """Where others look for it; the socket goes with it."""
    address = f"unix://{tmp_path}/other.sock"
    output_of(home.regkit("builder", "up", "--addr", address))

    output_of(home.regkit("build", home.path, env={"BUILDKIT_HOST": address}))
    output_of(home.regkit("builder", "down"))
    assert not (tmp_path / "other.sock").exists()
    home.assert_nothing_is_left()


def test_by_tcp_with_certificates(home: Home, tmp_path: Path) -> None:
    """Who has a certificate of that authority builds there, who hasn't is kept out."""
    authority, address = trustme.CA(), f"tcp://127.0.0.1:{free_port()}"
    server = certificates(authority, tmp_path / "server", "127.0.0.1")
    client = certificates(authority, tmp_path / "client", "client.example")
    stranger = certificates(trustme.CA(), tmp_path / "stranger", "client.example")
    output_of(home.regkit("builder", "up", "--addr", address, "--tls-dir", server))

    shown = output_of(home.regkit("builder", "status", "--addr", address, "--tls-dir", client))
    assert f"address    {address}" in shown
    for words in ((), ("--tls-dir", stranger)):
        assert home.regkit("builder", "status", "--addr", address, *words).returncode == 75
    output_of(home.regkit("build", home.path, "--builder", f"*={address},tls-dir={client}"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--addr", "tcp://0.0.0.0:1234"), 9, "could run anything on this machine"),
        (("--addr", "tcp://builder.example:1234"), 9, "could run anything on this machine"),
        (("--addr", "ssh://host"), 2, "can't listen on"),
        (("--addr", "1234"), 2, "can't listen on"),
        (("--addr", "tcp://127.0.0.1:1234", "--tls-dir", "."), 2, "has no ca.pem"),
        (("--tls-dir", "."), 2, "an address of their own"),
        (("--addr", "unix:///s", "--tls-dir", "."), 2, "for tcp:// alone"),
        (("--platform", "linux/foo"), 2, "no architecture 'foo'"),
        (("--addr", "unix:///nowhere/s"), 2, "no directory for the socket /nowhere/s"),
    ],
)
def test_what_cannot_be_started(home: Home, words: tuple[str, ...], code: int, said: str) -> None:
    """A sentence and its exit code; nothing is left."""
    done = home.regkit("builder", "up", *words)

    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    home.assert_nothing_is_left()


def test_address_that_is_taken(home: Home) -> None:
    """Exit 75 with the daemon's own reason; nothing is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = home.regkit("builder", "up", "--addr", f"tcp://127.0.0.1:{taken.getsockname()[1]}")

    assert (done.returncode, "address already in use" in done.stderr) == (75, True), done.stderr
    home.assert_nothing_is_left()


def test_base_images_of_a_plain_registry(home: Home, tmp_path: Path) -> None:
    """It's told at its start which registries are asked without TLS, as a throw-away one is."""
    with embedded(tmp_path / "registry") as registry:
        output_of(home.regkit("--plain-http", registry.host, "builder", "up"))
        image = f"{registry.host}/base"
        output_of(home.regkit("build", home.path, "--image", image, "--push", "--commit", "8f3c2b1"))
        (home.path / "Dockerfile").write_text(f'FROM {image}:8f3c2b1-linux-amd64\nRUN [{SH}, "echo again"]\n')

        output_of(home.regkit("build", home.path))


# Without root


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[Path]:
    """Give a home of nobody's, in a place where nobody may look."""
    root = Path("/tmp") / f"regkit-nobody-{os.getpid()}-{tmp_path.name}"
    root.mkdir(mode=0o755)
    shutil.copy(BUSYBOX, root / "busybox")
    steps = f'RUN [{SH}, "/busybox mkdir -p /a/b; /busybox chown -R 1000:1000 /a; /busybox chmod -R 700 /a"]'
    (root / "Dockerfile").write_text(f"FROM scratch\nCOPY busybox /\n{steps}\n")
    for path in (root, *root.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    yield root
    shutil.rmtree(root)


def as_nobody(home: Path, script: str, ids: str = "nobody:300000:65536") -> subprocess.CompletedProcess[str]:
    """Run a script as nobody, who has subordinate ids; /etc is changed in a mount namespace of its own."""
    names = {}
    for name in ("subuid", "subgid"):
        names[name] = home.with_name(f"{home.name}.{name}")
        names[name].write_text(f"{ids}\n")
    drop = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
    # Nobody's only privilege is to read: this machine's Python may lie where others can't look.
    drop += " --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
    binds = "".join(f"mount --bind {path} /etc/{name}\n" for name, path in names.items())
    env = {**clean_environment(home), "REGKIT": f"{sys.executable} -m regkit", "DROPPED": script}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{binds}exec {drop} sh -c "$DROPPED"'],
        env=env,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for path in names.values():
        path.unlink()
    return done


def test_without_root(nobody: Path) -> None:
    """A user with subordinate ids starts, uses and ends one; files of other ids go with it.

    What it builds is taken out of its store.
    """
    found = "import sys; from regkit.build import address, store; print(store.store_at(address.Address(sys.argv[1])))"
    done = as_nobody(
        nobody,
        "$REGKIT builder up --rootless --format json && $REGKIT builder status && $REGKIT build . && "
        f"{sys.executable} -c '{found}' unix://$PWD/.cache/regkit/builder/s && "
        "$REGKIT builder up --rootless && find .cache/regkit/builder -uid 300999 2>/dev/null | wc -l && "
        "$REGKIT builder down && find .cache/regkit",
    )

    assert done.returncode == 0, done.stderr
    start = json.loads(done.stdout[: done.stdout.index("}") + 1])
    assert (start["rootless"], start["started"]) == (True, True)
    assert "rootless   yes" in done.stdout
    assert "a builder runs already" in done.stderr
    *_, store, _, owned, _, _ = done.stdout.splitlines()
    assert store.startswith(f"{nobody}/.cache/regkit/builder/buildkitd/")
    assert int(owned) > 0, "no file was of a subordinate id"
    assert done.stdout.splitlines()[-2:] == [".cache/regkit", ".cache/regkit/run"]
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(nobody) in read(path)]


def test_what_a_rootless_machine_lacks(nobody: Path) -> None:
    """Each thing by its name, with the command that brings it, from `up` and from `doctor`."""
    few = "nobody:300000:100"
    done = as_nobody(nobody, "$REGKIT builder up --rootless; $REGKIT doctor --format json", few)

    assert "a rootless builder needs subuid: nobody has 100 of the 65536 ids" in done.stderr
    assert "hint: usermod --add-subuids 100000-165535 nobody" in done.stderr
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert [name for name, finding in findings.items() if not finding["ok"]] == [
        *("rights", "subuid", "subgid"),
    ]
    assert findings["subgid"]["remedy"] == "usermod --add-subgids 100000-165535 nobody"
    assert "regkit builder up --rootless" in findings["rights"]["remedy"]

    tools = nobody / "tools"
    tools.mkdir()
    for name in ("buildctl", "buildkitd", "runc"):
        (tools / name).symlink_to(str(shutil.which(name)))
    bare = as_nobody(nobody, f"PATH={tools} $REGKIT builder up --rootless")
    assert bare.returncode == 2
    assert "a rootless builder needs rootlesskit: isn't on PATH" in bare.stderr
    assert "hint: apt-get install rootlesskit" in bare.stderr


def test_doctor_asks_the_builder_that_is_up(home: Home) -> None:
    """It counts, and not what this machine has besides: a user's rights, say."""
    output_of(home.regkit("builder", "up"))

    document: dict[str, Any] = json.loads(
        output_of(home.regkit("doctor", "--platform", "linux/amd64", "--format", "json"))
    )

    assert [finding["name"] for finding in document["findings"]] == ["buildctl", "builder"]
