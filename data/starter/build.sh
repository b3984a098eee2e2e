#!/bin/bash
# Chooses the starter database from Swiss-Prot: build.sh TAPE_DB SWISSPROT.fasta.xz OUTPUT.fasta.xz [RESIDUES]
#   TAPE_DB    the tape-db program
#   RESIDUES   how many to take at most (default 18,200,000: just under 10 MB compressed)
# Deterministic: the same input and program give the same bytes.
set -euo pipefail
export LC_ALL=C

if [ $# -lt 3 ]; then
    sed -n '2,5p' "$0" >&2
    exit 2
fi
tape_db=$1 swissprot=$2 output=$3 budget=${4:-18200000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$tape_db" build "$swissprot" -o "$work/all.tdb" --quiet
"$tape_db" cluster "$work/all.tdb" --identity 0.5 --coverage 0.8 -o "$work/clusters.tsv" --quiet

# Members of 40 to 800 residues, as: cluster size, representative, identity to it, member, length; largest clusters first, and within
# a cluster the least similar first.
awk -F'\t' 'NR == FNR { if ($1 !~ /^#/) size[$1]++; next }
            $1 !~ /^#/ && $4 >= 40 && $4 <= 800 { print size[$1] "\t" $1 "\t" $3 "\t" $2 "\t" $4 }' \
    "$work/clusters.tsv" "$work/clusters.tsv" |
    sort -t "$(printf '\t')" -k1,1nr -k2,2 -k3,3n -k4,4 > "$work/members.tsv"

# One sequence of every cluster with relatives (the one closest to the representative), then the least similar of clusters of three and
# more, then the second least similar of clusters of eight and more, then sequences that stand alone; until the budget is spent.
awk -F'\t' '
    function finish() {
        if (n == 0) return
        print (size > 1 ? 1 : 4) "\t" member[n] "\t" length_of[n]
        if (size >= 3 && n >= 2) print 2 "\t" member[1] "\t" length_of[1]
        if (size >= 8 && n >= 3) print 3 "\t" member[2] "\t" length_of[2]
    }
    $2 != current { finish(); current = $2; n = 0; size = $1 }
    { n++; member[n] = $4; length_of[n] = $5 }
    END { finish() }' "$work/members.tsv" |
    sort -s -t "$(printf '\t')" -k1,1n |
    awk -F'\t' -v budget="$budget" '{ total += $3; if (total > budget) exit; print $2 }' > "$work/ids.txt"

"$tape_db" subset "$work/all.tdb" --ids "$work/ids.txt" -o "$work/starter.fasta" --quiet
xz -9e -T1 -k -c "$work/starter.fasta" > "$work/starter.fasta.xz"
mv "$work/starter.fasta.xz" "$output"
echo "$output: $(grep -c '>' "$work/starter.fasta") sequences, $(stat -c %s "$output") bytes"
