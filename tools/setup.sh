#!/usr/bin/env bash
# Sets up what the named parts need and this machine lacks. It first finds out all that is missing, so that nothing is
# half done where it can't go on; where nothing is missing it does nothing and says nothing.
#
#   tools/setup.sh PART...
#     python   .venv with regkit and its development tools, in the versions of constraints.txt
#     build    buildkitd and buildctl, and what they run on: runc, setpriv, unshare, emulators for other platforms
#     test     the registries, clients, engines and the conformance suite that the tests use
#     bench    more clients, which the benchmarks measure beside regkit
#     hello    the programs of testdata/hello, one for each platform
#
# What no Debian package brings goes to .tools/bin. Only root installs packages; anybody else is told the commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/.tools/bin:$PATH:/usr/sbin:/sbin"

python=${PYTHON:-python3}
packages=()   # Debian packages to install
unpacked=()   # PACKAGE/COMMAND: one command of a package that would start a service or displace another package
go_tools=()   # NAME@VERSION, to be built by Go
emulation=""  # "missing": binfmt handlers are to be registered
venv=""       # the stamp of the virtual environment to be made
hello=""      # "wanted": the hello programs are to be there

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf '%s\n' "$@" >&2; }
fail() { # SENTENCE [LINE...]
    say "setup: $1" "${@:2}"
    exit 1
}
have() { command -v "$1" >/dev/null; }

# Runs a talkative command; what it said is shown only if it fails.
quietly() {
    "$@" >"$scratch/log" 2>&1 && return
    cat "$scratch/log" >&2
    fail "this command failed, for the reason above: $*"
}

# --- What is missing? ---

check_python() {
    local stamp
    stamp="$PWD $(cat pyproject.toml constraints.txt | sha256sum)"
    if [ -x .venv/bin/python ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ]; then return; fi
    venv=$stamp
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "regkit needs Python 3.11 or newer, and $python isn't that. Install one and name it, for instance:" \
            "  make PYTHON=python3.12 setup"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
}

check_build() {
    need_package runc runc
    need_package setpriv util-linux
    need_package unshare util-linux
    if ! emulators_ready; then
        emulation=missing
        need_package qemu-arm-static qemu-user-static
        need_package update-binfmts binfmt-support
    fi
    local version
    version=$(awk '$2 == "github.com/moby/buildkit" { print $3 }' tools/buildkit/go.mod)
    need_go_tool buildctl "buildkit@$version"
    need_go_tool buildkitd "buildkit@$version"
}

check_test() {
    need_package skopeo skopeo
    need_package podman podman
    need_package zsh zsh
    need_package fish fish
    have containerd || unpacked+=(containerd/containerd)
    have ctr || unpacked+=(containerd/ctr)
    have dockerd || unpacked+=(docker.io/dockerd)
    have docker || unpacked+=(docker.io/docker)
    need_package rootlesskit rootlesskit
    need_package newuidmap uidmap
    have docker-registry || unpacked+=(docker-registry/docker-registry)
    is_static busybox || unpacked+=(busybox-static/busybox)
    need_go_tool registry registry@v3.1.2
    need_go_tool crane crane@v0.22.1
    need_go_tool regctl regctl@v0.11.7
    need_go_tool oras oras@v1.3.6
    need_go_tool cosign cosign@v3.1.3
    need_go_tool buildx buildx@v0.38.2
    local version
    version=$(awk '/distribution-spec\/conformance v/ { print $NF }' tools/conformance/go.mod)
    need_go_tool oci-conformance "conformance@$version"
    version=$(cat tools/ggcr-registry/* | sha256sum)
    need_go_tool ggcr-registry "ggcr-registry@${version:0:12}"
}

check_bench() {
    need_go_tool regsync regsync@v0.11.7
}

check_hello() {
    hello=wanted
    need_go "the programs of testdata/hello"
}

need_package() { # COMMAND PACKAGE
    have "$1" || packages+=("$2")
}

# What the machine has is used as it is; what was built here has to be the version asked for.
need_go_tool() { # COMMAND NAME@VERSION
    case $(command -v "$1") in
        "$PWD"/.tools/bin/*) [ ! -e ".tools/$2" ] || return 0 ;;
        /*) return 0 ;;
    esac
    [[ " ${go_tools[*]} " == *" $2 "* ]] || go_tools+=("$2")
}

need_go() { # PURPOSE
    local advice="Install Go 1.21 or newer and put it on PATH; where a newer one is asked for, it fetches that itself."
    local version
    have go || fail "there is no Go on PATH, and it is needed for $1." "$advice"
    read -r _ _ version _ < <(go version)
    printf '%s\n' go1.21 "$version" | sort -CV || fail "$(command -v go) is $version, too old for $1." "$advice"
}

is_static() {
    have "$1" && ! ldd "$(command -v "$1")" 2>&1 | grep -q '=>'
}

emulators_ready() {
    local foreign=(aarch64 arm) arch handler
    [ "$(uname -m)" != aarch64 ] || foreign=(x86_64)
    for arch in "${foreign[@]}"; do
        handler=/proc/sys/fs/binfmt_misc/qemu-$arch
        grep -qsx enabled "$handler" && grep -qs '^flags:.*F' "$handler" || return 1 # F: works inside containers too
    done
}

# --- Bring it ---

# All that takes root, before anything else: another user gets to know everything at once.
run_as_root() {
    local commands=() command
    if [ ${#packages[@]} != 0 ]; then
        commands+=("apt-get update" "apt-get install -y --no-install-recommends ${packages[*]}")
    elif [ ${#unpacked[@]} != 0 ] && [ "$(id -u)" = 0 ]; then
        commands+=("apt-get update")
    fi
    if [ "$emulation" ]; then
        mountpoint -q /proc/sys/fs/binfmt_misc || commands+=("mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc")
        commands+=("update-binfmts --enable")
    fi
    [ ${#commands[@]} != 0 ] || return 0
    [ "$(id -u)" = 0 ] ||
        fail "some of what is missing takes root. Run this as root, then try again:" "${commands[@]/#/  }"
    for command in "${commands[@]}"; do
        say "Running as root: $command"
        # shellcheck disable=SC2086 # these are the words above, to be split at their spaces
        DEBIAN_FRONTEND=noninteractive quietly $command
    done
    [ -z "$emulation" ] || emulators_ready ||
        fail "the kernel still has no handlers (with flag F) for the other platforms in /proc/sys/fs/binfmt_misc."
}

unpack() { # PACKAGE/COMMAND
    local package=${1%/*} command=${1#*/}
    say "Unpacking $command from Debian's package $package into .tools/bin, without installing the package."
    (cd "$scratch" && quietly apt-get -o APT::Sandbox::User=root download "$package")
    dpkg-deb --fsys-tarfile "$scratch/$package"_*.deb | tar -xO --wildcards "*bin/$command" >"$scratch/$command"
    install -D "$scratch/$command" ".tools/bin/$command"
}

build_go_tool() { # NAME@VERSION
    local name=${1%@*} version=${1#*@}
    say "Building $name $version by Go into .tools/bin; the first time this may take some minutes."
    case $name in
        buildkit)
            quietly go_env build -C tools/buildkit -o "$PWD/.tools/bin/" -trimpath \
                -ldflags="-s -w -X github.com/moby/buildkit/version.Version=$version" \
                github.com/moby/buildkit/cmd/buildctl github.com/moby/buildkit/cmd/buildkitd
            ;;
        registry) install_by_go "github.com/distribution/distribution/v3/cmd/registry@$version" ;;
        crane) install_by_go "github.com/google/go-containerregistry/cmd/crane@$version" ;;
        regctl) install_by_go "github.com/regclient/regclient/cmd/regctl@$version" ;;
        regsync) install_by_go "github.com/regclient/regclient/cmd/regsync@$version" ;;
        buildx) install_by_go "github.com/docker/buildx/cmd/buildx@$version" ;;
        oras) install_by_go "oras.land/oras/cmd/oras@$version" ;;
        cosign) install_by_go "github.com/sigstore/cosign/v3/cmd/cosign@$version" ;;
        conformance)
            quietly go_env build -C tools/conformance -o "$PWD/.tools/bin/oci-conformance" -trimpath \
                -ldflags="-s -w -X main.Version=$version" github.com/opencontainers/distribution-spec/conformance
            ;;
        ggcr-registry)
            quietly go_env build -C tools/ggcr-registry -o "$PWD/.tools/bin/" -trimpath -ldflags="-s -w" .
            ;;
    esac
    rm -f ".tools/$name"@*
    touch ".tools/$1"
}

install_by_go() { # MODULE@VERSION
    quietly go_env install -trimpath -ldflags="-s -w" "$1"
}

# Go for this machine, whatever the caller builds for; GOTOOLCHAIN=auto fetches the toolchain that a module asks for.
go_env() {
    env -u GOOS -u GOARCH -u GOFLAGS CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=auto GOBIN="$PWD/.tools/bin" go "$@"
}

make_venv() {
    say "Installing regkit and its development tools into .venv."
    quietly "$python" -m venv --clear .venv
    # The second variable is how newer versions of pip want the build backend's versions named.
    PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt quietly .venv/bin/pip install -e '.[dev]'
    echo "$venv" >.venv/stamp
}

[ $# != 0 ] || set -- none
for part; do
    case $part in
        python | build | test | bench | hello) "check_$part" ;;
        *) fail "name one or more of the parts python, build, test, bench, hello." ;;
    esac
done
[ ${#go_tools[@]} = 0 ] || need_go "building ${go_tools[*]}"

run_as_root
mkdir -p .tools/bin
for tool in "${unpacked[@]}"; do unpack "$tool"; done
for tool in "${go_tools[@]}"; do build_go_tool "$tool"; done
[ -z "$venv" ] || make_venv
[ -z "$hello" ] || testdata/hello/build.sh
