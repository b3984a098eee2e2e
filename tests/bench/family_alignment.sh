#!/bin/bash
# Alignments of given sets of sequences against reference alignments: ours, Clustal Omega and MAFFT --auto in one run.
# family_alignment.sh BIN_DIR BALIFAM_DIR [FIRST] [COUNT] [PROGRAM...]
# BALIFAM_DIR holds in/NAME.100 and ref/NAME.100 (balifam100, Edgar 2021). FIRST (default 1) and COUNT (default all) choose families
# in the order of their names. PROGRAM: ours, clustalo, mafft (default: all three), or "ours OPTIONS" as one argument. One thread each.
# Prints mean sum-of-pairs and total-column, and CPU seconds in all; the lines of single families go to standard error.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,6p' "$0" >&2
    exit 2
fi
bin=$1 families=$2 first=${3:-1} count=${4:-100000}
shift $(($# < 4 ? $# : 4))
programs=("$@")
if [ ${#programs[@]} -eq 0 ]; then programs=(ours clustalo mafft); fi
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

align() {
    case $1 in
    ours*) "$bin/tape-msa" --set "$2" -o - --threads 1 --quiet ${1#ours} ;;
    clustalo) clustalo -i "$2" --threads=1 ;;
    mafft) mafft --auto --thread 1 --quiet "$2" ;;
    *) echo "unknown program '$1'" >&2 && return 2 ;;
    esac
}

TIMEFORMAT='%U %S'
for input in $(ls "$families"/in/* | tail -n +"$first" | head -n "$count"); do
    name=$(basename "$input")
    for program in "${programs[@]}"; do
        { time align "$program" "$input" >"$work/aligned" 2>"$work/messages"; } 2>"$work/time" ||
            { cat "$work/messages" >&2 && exit 1; }
        scores=$(python3 "$here/family_alignment.py" score "$families/ref/$name" "$work/aligned")
        printf '%s\t%s\t%s\t%s\n' "$program" "$name" "$scores" "$(awk '{ print $1 + $2 }' "$work/time")" |
            tee -a "$work/scores" >&2
    done
done
python3 "$here/family_alignment.py" table "$work/scores"
