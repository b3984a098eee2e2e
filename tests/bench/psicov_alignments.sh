#!/usr/bin/env bash
# Is an alignment found for every PSICOV-150 protein, and is it the same for 1 and 2 threads?
#   psicov_alignments.sh BIN_DIR DATABASE.tdb [ROUNDS]
# Prints the number of proteins with homologs, those without, CPU seconds a protein and whether all files have the same bytes.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,4p' "$0" >&2
    exit 2
fi
bin=$1 database=$2 rounds=${3:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/tape-data" export contact test_psicov150 -o "$work/proteins.jsonl" --quiet
python3 -c 'import json, sys
for record in map(json.loads, sys.stdin):
    print(">" + record["id"], record["primary"], sep="\n")' <"$work/proteins.jsonl" >"$work/queries.fasta"
proteins=$(grep -c '^>' "$work/queries.fasta")
for threads in 1 2; do
    TIMEFORMAT=%U
    seconds=$({ time "$bin/tape-msa" "$work/queries.fasta" --db "$database" --rounds "$rounds" -o "$work/$threads" --threads "$threads" --quiet \
        2>"$work/notes"; } 2>&1)
    printf '%s threads\t%s proteins\t%.2f CPU s a protein\n' "$threads" "$proteins" "$(awk "BEGIN { print $seconds / $proteins }")"
done
awk -F'\t' '!/^#/ { hits[$1]++ } END { for (id in hits) print hits[id] }' "$work/2/hits.tsv" | sort -n >"$work/depths"
printf 'with homologs at E <= 1e-3\t%s of %s\tmedian hits\t%s\n' "$(wc -l <"$work/depths")" "$proteins" "$(sed -n "$(( ($(wc -l <"$work/depths") + 1) / 2 ))p" "$work/depths")"
for id in $(grep '^>' "$work/queries.fasta" | cut -c2- | cut -d' ' -f1); do
    grep -q "^$id	" "$work/2/hits.tsv" || printf 'query only\t%s\n' "$id"
done
differing=$(diff -rq --exclude manifest.json "$work/1" "$work/2" | wc -l) # a file on one side only counts too
printf 'files that differ between 1 and 2 threads\t%s\n' "$differing"
[ "$differing" -eq 0 ]
