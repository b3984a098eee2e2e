#!/usr/bin/env bash
# Uses tape as another project would, and its programs as an administrator installs them.
#
#   run.sh BUILD_DIR [cmake arguments]            installs the build into a temporary prefix, builds the consumer against it
#                                                 through find_package(tape), moves the prefix and runs the programs
#   run.sh --source SOURCE_DIR [cmake arguments]  builds the consumer with the source tree through add_subdirectory, which
#                                                 compiles the libraries again: 5 to 6 CPU minutes, half of it with
#                                                 -DTAPE_WITH_LEARN=OFF, less with -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
fail() { printf 'tests/install: %s\n' "$*" >&2; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "failed: $*"; }; }
consume() {
  quietly cmake -S "$here" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@"
  quietly cmake --build "$work/build" -- -j "${TAPE_JOBS:-2}"
  "$work/build/consumer"
}

if [ "$1" = --source ]; then
  source=$(readlink -f "$2"); shift 2
  consume -DTAPE_SOURCE="$source" "$@"
  exit
fi

build=$(readlink -f "$1"); shift
quietly cmake --install "$build" --prefix "$work/first"
TAPE_DATA=$work/first/share/tape/data consume -DCMAKE_PREFIX_PATH="$work/first" "$@"

# The tree may be moved: programs find their data beside themselves.
mv "$work/first" "$work/prefix"
unset TAPE_DATA
export TAPE_CACHE=$work/cache
bin=$work/prefix/bin
for program in "$bin"/*; do
  name=$(basename "$program")
  [ "$("$program" --version | cut -d' ' -f1)" = "$name" ] || fail "$name --version"
  grep -q "^.TH \"${name^^}\" 1" <(sed 's/\\-/-/g' "$work/prefix/share/man/man1/$name.1") || fail "no manual page of $name"
  bash -n "$work/prefix/share/bash-completion/completions/$name" || fail "completion of $name"
done
for file in CHECKSUMS SOURCES.md; do [ -s "$work/prefix/share/tape/data/$file" ] || fail "$file is not installed"; done
"$bin/tape-data" verify --quiet
if [ -x "$bin/tape-compare" ]; then
  "$bin/tape-compare" --features msa,transformer --tasks fluorescence -o "$work/results" --dry-run | grep -q 'heads to fit' || fail "tape-compare --dry-run"
fi
# It was the installed data that were verified, not the source tree's.
rm "$work/prefix/share/tape/data/tape/remote_homology_valid.csv.xz"
"$bin/tape-data" verify --quiet 2>"$work/log" && fail "a missing installed file went unnoticed"
grep -q "damaged: tape/remote_homology_valid.csv.xz: missing" "$work/log" || { cat "$work/log"; fail "verify names another file"; }
echo "installed programs ok"
