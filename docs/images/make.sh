#!/usr/bin/env bash
# Takes the pictures of the report that the README shows, in both colour schemes.
#
#   docs/images/make.sh REPORT.html     for the README: the report of tape-compare --preset quick
#
# Needs Chromium (or CHROMIUM=...) and ImageMagick's convert. Writes report-light.png and report-dark.png beside this script.
set -euo pipefail
report=$(readlink -f "${1:?name the report.html to take pictures of}")
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shot() { # NAME SCHEME (Blink's: 0 dark, 1 light)
  "${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
    --blink-settings=preferredColorScheme="$2" --window-size=900,1385 --screenshot="$work/$1.png" "file://$report" >/dev/null 2>&1
  # 64 colours are enough for text and thin lines; no time of writing, so that the same report gives the same bytes.
  convert "$work/$1.png" +dither -colors 64 -define png:compression-level=9 -define png:exclude-chunks=date,time,tEXt "PNG8:$here/report-$1.png"
  echo "$here/report-$1.png: $(stat -c %s "$here/report-$1.png") bytes"
}
shot light 1
shot dark 0
