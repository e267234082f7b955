#!/usr/bin/env bash
# Prints the address of a Debian mirror: DEBIAN_MIRROR or, without that, the first one that this machine's apt is set up with.
set -euo pipefail

configured=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' | grep -oE 'https?://[^ ]+/debian/?( |$)' || true)
mirror=${DEBIAN_MIRROR:-$(head -n 1 <<<"${configured// /}")}
[ -n "$mirror" ] || { echo "apt knows no Debian mirror: set DEBIAN_MIRROR to the address of one" >&2; exit 1; }
echo "$mirror"
