#!/usr/bin/env bash
# Installs the Debian package on a clean Debian root, as an administrator would, and runs the comparison there.
#
#   deb.sh BUILD_DIR ROOT [arguments of tape-compare]    ROOT: a fresh root, made with debootstrap where it does not exist yet
#
# Needs root, debootstrap and the network for ROOT. Arguments default to the whole of --preset quick, five minutes on two free cores.
set -euo pipefail
build=$(readlink -f "${1:?name the build directory}") root=${2:?name a directory for the Debian root}
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$build" && cpack -G DEB -B "$work" >"$work/log" 2>&1) || { cat "$work/log"; exit 1; }
package=$(ls "$work"/*.deb)
depends=$(dpkg-deb -f "$package" Depends | sed 's/ *([^)]*)//g; s/, */,/g')
[ -d "$root" ] || debootstrap --variant=minbase --include="$depends" bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 ||
  { tail "$work/log"; exit 1; }
cp "$package" "$root/root/"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
inside dpkg -i "/root/$(basename "$package")"
! inside ldd /usr/bin/tape-compare | grep 'not found'
for program in $(inside dpkg -L tape-compare | grep '^/usr/bin/tape'); do inside "$program" --version; done
inside tape-data verify >/dev/null
[ $# -gt 0 ] || set -- --preset quick
inside tape-compare "$@" -o /root/results
inside test -s /root/results/report.html
inside dpkg -r tape-compare
echo "tests/install/deb.sh: $(basename "$package"), $(($(stat -c %s "$package") >> 20)) MB, depends on $depends"
