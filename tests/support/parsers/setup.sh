#!/usr/bin/env bash
# Installs the real readers of dotenv files that tests/parsers compares env_file with, below .cache/parsers.
# As root on Debian or Ubuntu it installs missing packages too; elsewhere it says which ones are missing.
# Settings: MASTODON_S3_SYSTEMD_IMAGE  an image with systemd and python3, in place of the one that is built here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../../.." && pwd)/.cache/parsers
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9

say() { echo "parsers: $*"; }

missing=
need() { # need PROGRAM PACKAGE...
    command -v "$1" > /dev/null 2>&1 || { shift; missing="$missing $*"; }
}
need ruby ruby
need node nodejs
need npm npm
need go golang-go
need podman podman runc
need mmdebstrap mmdebstrap
need dpkg-deb dpkg
[ -n "$(ruby -e 'require "dotenv"; print 1' 2> /dev/null)" ] || missing="$missing ruby-dotenv"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || missing="$missing debian-archive-keyring"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
        say "installing$missing"
        # shellcheck disable=SC2086  # a list of packages
        DEBIAN_FRONTEND=noninteractive flock /tmp/apt.lock sh -c \
            'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" > /dev/null' sh $missing
    else
        say "missing here:$missing. Install these packages (as root: apt-get install$missing) and run this again." >&2
        exit 1
    fi
fi

if [ "$(printf '%s\n' 1.24 "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -n 1)" != 1.24 ]; then
    say "Go 1.24 or newer is needed, and $(go env GOVERSION) is here; install a newer one, like golang-go of Debian 13" >&2
    exit 1
fi

# Debian stable has dotenv 2.4, Mastodon uses 2.8 and 3: the newer one is Debian unstable's package, unpacked only.
if [ ! -e "$cache/ruby-dotenv/lib/dotenv.rb" ]; then
    say "fetching the newest ruby-dotenv that Debian has"
    apt=$cache/apt
    mirror=$("$here/../debian_mirror.sh")
    mkdir -p "$apt/lists/partial" "$apt/archives/partial"
    echo "deb [signed-by=$keyring] $mirror sid main" > "$apt/sources.list"
    options="-qq -o Dir::State::lists=$apt/lists -o Dir::Cache=$apt -o Dir::Cache::archives=$apt/archives
        -o Dir::Etc::sourcelist=$apt/sources.list -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"
    # shellcheck disable=SC2086  # a list of options
    apt-get $options update
    # shellcheck disable=SC2086
    (cd "$apt/archives" && apt-get $options -t sid download ruby-dotenv)
    rm -rf "$cache/unpacked"
    dpkg-deb -x "$apt"/archives/ruby-dotenv_*.deb "$cache/unpacked"
    lib=$(dirname "$(find "$cache/unpacked" -path '*/lib/dotenv.rb' | head -n 1)")
    mkdir -p "$cache/ruby-dotenv"
    mv "$lib" "$cache/ruby-dotenv/lib"
    rm -rf "$cache/unpacked" "$apt"
fi

if ! cmp -s "$here/package-lock.json" "$cache/node/package-lock.json" || [ ! -d "$cache/node/node_modules/dotenv" ]; then
    say "installing Node's dotenv"
    mkdir -p "$cache/node"
    cp "$here/package.json" "$here/package-lock.json" "$cache/node/"
    (cd "$cache/node" && npm ci --no-audit --no-fund --loglevel=error > /dev/null)
fi

say "building compose's reader"
(cd "$here/compose" && go build -trimpath -o "$cache/compose-reader" .)

image=${MASTODON_S3_SYSTEMD_IMAGE:-localhost/mastodon-s3-parsers:bookworm}
if ! podman image inspect "$image" > /dev/null 2>&1; then
    if [ -n "${MASTODON_S3_SYSTEMD_IMAGE:-}" ]; then
        say "the image $image is not there; unset MASTODON_S3_SYSTEMD_IMAGE to have one made" >&2
        exit 1
    fi
    say "making an image with systemd (half a minute)"
    mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,python3 bookworm - \
        ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} | podman import --quiet - "$image" > /dev/null
fi
say "ready"
