"""Who is let in, with which credentials, and that nobody else ever sees them."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.command import output_of, regkit, started
from tests.support.layouts import make_layout
from tests.support.proxy import proxy, tunnel
from tests.support.registries import RunningRegistry, distribution
from tests.support.tokens import TokenService, token_service
from tests.support.waiting import until

USER = "me"
SECRET = "canary-5c1f0b7e9d3a"
HTPASSWD = f"{USER}:$2b$04$q2U1TTdNrpB5L1CpUZp1lOXyhtvPigVXFZ9qSYAlpw2knkwS0nPyC\n"  # bcrypt, of the secret
SPELLINGS = (SECRET, base64.b64encode(f"{USER}:{SECRET}".encode()).decode())
"""The secret, and as a Basic `Authorization` and Docker's configuration have it."""

TAGS = ["1", "1.2", "1.2.3", "latest"]

Verbosity = tuple[str, ...]

every_verbosity = pytest.mark.parametrize(
    "verbosity", [("--debug",), ("-v", "--debug"), ("--progress", "json")], ids=" ".join
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    make_layout(path / "layout")
    return path


@pytest.fixture
def basic(tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that lets one user in, by Basic."""
    with distribution(tmp_path / "basic", extra_config=htpasswd(tmp_path)) as running:
        yield running


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    """Give a token service: the user may pull all and push `app`; anonymous clients may do nothing."""

    def allow(user: str | None, repository: str) -> set[str]:
        if user is None:
            return set()
        return {"pull", "push", "delete"} if repository == "app" else {"pull"}

    with token_service({USER: SECRET}, allow, lifetime=2) as service:
        yield service


@pytest.fixture
def bearer(tokens: TokenService, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that wants the token service's tokens."""
    with distribution(tmp_path / "bearer", extra_config=tokens.configuration(tmp_path)) as running:
        yield running


@every_verbosity
def test_basic(basic: RunningRegistry, home: Path, verbosity: Verbosity) -> None:
    """The login that Docker's configuration has for this host and port; it's in no output."""
    log_in(home, basic.host)

    done = regkit(*verbosity, *publish(home, f"{basic.host}/app"), home=home)

    output_of(done)
    assert_secret_is_in_none(done)
    assert output_of(regkit("tag", "ls", f"{basic.host}/app", home=home)).split() == TAGS


def test_tokens_that_expire_in_the_middle(
    bearer: RunningRegistry, tokens: TokenService, home: Path, tmp_path: Path
) -> None:
    """A token that runs out during the uploads, and one before the tags: another is asked for, and nothing is lost.

    The uploads wait, side by side, until the registry's clock is past their token's time; so does the first tag.
    """
    make_layout(tmp_path / "layout", layer_size=3_000_000)

    def tokens_for_writing() -> int:
        return sum(asked.scopes == ("repository:app:pull,push",) for asked in tokens.asked)

    def expire() -> int:
        until(lambda: time.time() > tokens.asked[-1].expires, "the last token has expired", 5)
        return tokens_for_writing()

    with proxy(bearer.host) as between:
        log_in(home, between.host)
        uploads, first_tag = between.hold("PUT", "/blobs/uploads/", times=2), between.hold("PUT", "/manifests/1$")
        said = tmp_path / "stderr"
        with (
            said.open("wb") as stderr,
            started(*publish(tmp_path, f"{between.host}/app"), home=home, stderr=stderr) as process,
        ):
            until(lambda: len(uploads.seen) == 2, "both uploads wait")
            first = expire()
            uploads.release()
            until(first_tag.held.is_set, "the first tag's PUT waits")
            second = expire()
            first_tag.release()

            assert process.wait(30) == 0, said.read_text()
        assert uploads.seen[0].status == uploads.seen[1].status == first_tag.seen[0].status == 401
        assert 1 <= first < second < tokens_for_writing()
        assert output_of(regkit("tag", "ls", f"{between.host}/app", home=home)).split() == TAGS
    assert {(asked.user, asked.status) for asked in tokens.asked} == {(USER, 200)}


@every_verbosity
@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_wrong_password(request: pytest.FixtureRequest, home: Path, kind: str, verbosity: Verbosity) -> None:
    """4, with a sentence that names the repository at its registry, the user, and the file with the login."""
    registry: RunningRegistry = request.getfixturevalue(kind)
    config = log_in(home, registry.host, password=f"{SECRET}-wrong")

    done = regkit(*verbosity, *publish(home, f"{registry.host}/app"), home=home)

    assert_denied(done, registry, f"{registry.host}/app doesn't let the user '{USER}' from {config} in: ")
    assert ("Traceback" in done.stderr) == ("--debug" in verbosity)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_no_login(request: pytest.FixtureRequest, home: Path, kind: str) -> None:
    """4, with a sentence that says where a login was looked for; that of the same host's other port doesn't count."""
    registry: RunningRegistry = request.getfixturevalue(kind)
    config = log_in(home, "127.0.0.1:1")

    done = regkit(*publish(home, f"{registry.host}/app"), home=home)

    expected = f"{registry.host}/app doesn't let anonymous (no login for it in {config}) in: "
    assert_denied(done, registry, expected)


def test_login_without_the_permission(bearer: RunningRegistry, home: Path) -> None:
    """A user who may push one repository, and publishes to another: 4, and the sentence names that one."""
    config = log_in(home, bearer.host)

    done = regkit("--debug", *publish(home, f"{bearer.host}/team/other"), home=home)

    assert_denied(done, bearer, f"{bearer.host}/team/other doesn't let the user '{USER}' from {config} in: ")


def test_configuration_elsewhere(basic: RunningRegistry, home: Path, tmp_path: Path) -> None:
    """`DOCKER_CONFIG` names the directory, and then the home's file doesn't count."""
    elsewhere = log_in(tmp_path / "elsewhere", basic.host)
    log_in(home, basic.host, password="wrong")

    output_of(regkit(*publish(home, f"{basic.host}/app"), home=home, env={"DOCKER_CONFIG": str(elsewhere.parent)}))


def test_docker_hubs_login_stays_with_docker_hub(basic: RunningRegistry, home: Path, tmp_path: Path) -> None:
    """`DOCKER_USERNAME` and `DOCKER_PASSWORD` are sent to Docker Hub, and to no other registry.

    The hub's part is played by a registry that a proxy leads to and that has a certificate for its name.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("registry-1.docker.io")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "hub.pem")
    tls = {"http": {"tls": {"certificate": str(tmp_path / "hub.pem"), "key": str(tmp_path / "hub.pem")}}}
    env = {"DOCKER_USERNAME": USER, "DOCKER_PASSWORD": SECRET}
    with (
        distribution(tmp_path / "hub", extra_config={**htpasswd(tmp_path), **tls}) as hub,
        tunnel(hub.host) as (way, hosts),
        proxy(basic.host) as between,
    ):
        through = {**env, "HTTPS_PROXY": way}
        trusting = ("--debug", "--ca-file", tmp_path / "ca.pem")
        kept_out = regkit(*trusting, *publish(home, "me/app"), home=home, env={**through, "DOCKER_PASSWORD": "wrong"})
        elsewhere = regkit("--debug", *publish(home, f"{between.host}/app"), home=home, env=env)

        assert set(hosts) == {"registry-1.docker.io:443"}
        assert_denied(
            kept_out,
            hub,
            f"docker.io/me/app doesn't let the user '{USER}' from DOCKER_USERNAME and DOCKER_PASSWORD in: ",
        )
        let_in = regkit(*trusting, *publish(home, "me/app"), home=home, env=through)
        assert output_of(let_in).startswith("docker.io/me/app@sha256:")
        assert_denied(elsewhere, basic, f"{between.host}/app doesn't let anonymous (no login for it in ")
        assert between.exchanges
        assert not [exchange for exchange in between.exchanges if "authorization" in exchange.headers]
    for done in (let_in, kept_out, elsewhere):
        assert_secret_is_in_none(done)
    for directory in (basic.root, hub.root):
        for name in ("stdout", "stderr"):
            assert_has_no_secret((directory / name).read_text(), f"{directory.name}'s {name}")


@pytest.mark.parametrize("own_builder", [False, True], ids=["BUILDKIT_HOST", "our own"])
def test_base_image_behind_basic(
    request: pytest.FixtureRequest, basic: RunningRegistry, home: Path, own_builder: bool
) -> None:
    """`FROM` an image that only a login may read: it builds, with `DOCKER_USERNAME` for another registry set as well.

    While BuildKit reads the base image, no process has the secret in its arguments, none that we started has it in
    its environment, and the file that lends it to buildctl is for us alone, and holds no other login.
    """
    env = {"BUILDKIT_HOST": request.getfixturevalue("builder")}
    with_base, with_ours = ({}, env) if not own_builder else (env, {})  # the other one: it has nothing of it cached
    log_in(home, basic.host)
    base = context_of(home / "base", "FROM scratch\nCOPY busybox /bin/busybox\n")
    output_of(regkit("publish", base, "--image", f"{basic.host}/base", "--version", "1.0.0", env=with_base, home=home))
    with proxy(basic.host) as between:
        log_in(home, between.host)
        text = f'FROM {between.host}/base:1.0.0\nRUN ["/bin/busybox", "touch", "/built"]\n'
        command = publish(home, f"{between.host}/app", context_of(home / "context", text))
        reading = between.hold("GET", "/v2/base/blobs/", times=9)
        said, hub = home / "stderr", {"DOCKER_USERNAME": "hub", "DOCKER_PASSWORD": f"{SECRET}-of-the-hub"}
        with (
            said.open("wb") as stderr,
            started(*("--debug", "-v", *command), home=home, env={**hub, **with_ours}, stderr=stderr) as process,
        ):
            until(reading.held.is_set, "BuildKit reads the base image", 60)
            arguments, environments = of_all_processes("cmdline"), of_all_processes("environ")
            lent = list((home / ".cache/regkit/run").glob("*/docker/config.json"))
            hosts = [*json.loads(lent[0].read_text())["auths"]]
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (lent[0].parent, lent[0])]
            holders = [
                path for path in (home / ".cache").rglob("*") if path.is_file() and has_secret(path.read_bytes())
            ]
            reading.release()
            assert process.stdout is not None
            name = process.stdout.read().decode()
            assert process.wait(60) == 0, said.read_text()

        assert f"{between.host}/app@sha256:" in name
        assert (holders, modes, hosts) == (lent, [0o700, 0o600], [between.host])
        assert list((home / ".cache/regkit/run").iterdir()) == []
        assert [pid for pid, text in arguments.items() if has_secret(text)] == []
        assert [pid for pid, text in environments.items() if has_secret(text)] == [process.pid]
        assert_has_no_secret(said.read_text(), "what regkit said")
        sent = {e.headers["authorization"] for e in between.exchanges if "authorization" in e.headers}
        assert sent == {f"Basic {SPELLINGS[1]}"}


@pytest.mark.parametrize("password", [None, "wrong"])
def test_base_image_that_keeps_us_out(basic: RunningRegistry, home: Path, builder: str, password: str | None) -> None:
    """No login for the base image's registry, or a wrong one: found before the build (4), else by the builder (6)."""
    with distribution(home / "open") as target:
        if password:
            log_in(home, basic.host, password=password)
        context = context_of(home / "context", f"FROM {basic.host}/base:1.0.0\n")
        command, env = publish(home, f"{target.host}/app", context), {"BUILDKIT_HOST": builder}

        before = regkit(*command, home=home, env=env)
        during = regkit(*command, "--no-preflight", home=home, env=env)

        assert before.returncode == 4
        assert f"{basic.host}/base:1.0.0" in before.stderr
        assert f"  hint: log in to {basic.host}, " in before.stderr
        assert during.returncode == 6
        assert f"regkit: error: the base image {basic.host}/base:1.0.0 can't be used for linux/amd64: " in during.stderr
        assert "  hint: are the credentials for its registry in Docker's configuration?\n" in during.stderr
        assert target.writes() == []


def test_basic_over_tls(home: Path, tmp_path: Path) -> None:
    """A loopback registry that speaks https only is asked so, with its login."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    tls = {"http": {"tls": {"certificate": str(tmp_path / "server.pem"), "key": str(tmp_path / "server.pem")}}}
    with distribution(tmp_path / "tls", extra_config={**htpasswd(tmp_path), **tls}) as registry:
        log_in(home, registry.host)

        output_of(regkit("--ca-file", tmp_path / "ca.pem", *publish(home, f"{registry.host}/app"), home=home))


def htpasswd(directory: Path) -> dict[str, object]:
    """Give a distribution's configuration that lets one user in."""
    path = directory / "htpasswd"
    path.write_text(HTPASSWD)
    return {"auth": {"htpasswd": {"realm": "tests", "path": str(path)}}}


def log_in(home: Path, host: str, *, user: str = USER, password: str = SECRET) -> Path:
    """Write a login as `docker login` does, beside those that are there; give the file."""
    path = home / ".docker" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    auths = json.loads(path.read_text())["auths"] if path.exists() else {}
    auths[host] = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    path.write_text(json.dumps({"auths": auths}))
    return path


def publish(directory: Path, image: str, context: Path | None = None) -> tuple[str | Path, ...]:
    """Give the arguments that publish a context, or the layout below `directory`."""
    source = (context, "--platform", "linux/amd64") if context else ("--from", directory / "layout")
    return ("publish", *source, "--image", image, "--version", "v1.2.3")


def context_of(directory: Path, dockerfile: str) -> Path:
    directory.mkdir()
    shutil.copy("/bin/busybox", directory)
    (directory / "Dockerfile").write_text(dockerfile)
    return directory


def of_all_processes(name: str) -> dict[int, bytes]:
    """Read this file of every process below /proc, but our own."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and directory.name != str(Path("/proc/self").readlink()):
            with contextlib.suppress(OSError):  # it ended meanwhile
                found[int(directory.name)] = (directory / name).read_bytes()
    return found


def has_secret(data: bytes) -> bool:
    return any(secret.encode() in data for secret in SPELLINGS)


def assert_denied(done: subprocess.CompletedProcess[str], registry: RunningRegistry, sentence: str) -> None:
    """Check for 4 with this one sentence, for no secret anywhere, and for nothing that was written."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("regkit: error: ")]
    assert (done.returncode, done.stdout, len(errors)) == (4, "", 1), done.stderr
    assert errors[0].startswith(f"regkit: error: {sentence}"), errors[0]
    assert "answered 401 Unauthorized" in errors[0]
    assert_secret_is_in_none(done)
    assert [write for write in registry.writes() if write.status < 300] == []


def assert_secret_is_in_none(done: subprocess.CompletedProcess[str]) -> None:
    assert_has_no_secret(done.stdout, "stdout")
    assert_has_no_secret(done.stderr, "stderr")


def assert_has_no_secret(text: str, what: str) -> None:
    assert not has_secret(text.encode()), f"the secret is in {what}"
    assert "Bearer ey" not in text, f"a token is in {what}"
