#!/bin/bash
# Do E-values mean what they say? evalue_calibration.sh BIN_DIR SEQUENCES.fasta[.xz] [QUERIES] [ROUNDS] [EVERY]
# QUERIES (default 200) proteins of 60 to 800 residues are shuffled, and reversed, and searched against every EVERY-th (default 1) of
# the sequences. Prints the mean number of hits a query at E <= .01, .1, 1 and 10; calibrated is the E-value itself. Reversed
# proteins keep low complexity and short periods, so a few of them find real relatives of their composition.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,5p' "$0" >&2
    exit 2
fi
bin=$1 sequences=$2 queries=${3:-200} rounds=${4:-1} every=${5:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 - "$sequences" "$queries" "$every" "$work" <<'PYTHON'
import lzma, random, sys

path, count, every, work = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
random.seed(1)
records = []
with (lzma.open if path.endswith(".xz") else open)(path, "rt") as handle:
    for line in handle:
        if line[0] == ">":
            records.append([line[1:].split()[0], []])
        else:
            records[-1][1].append(line.strip())
records = [(name, "".join(parts)) for name, parts in records]
chosen = random.sample([r for r in records if 60 <= len(r[1]) <= 800], count)
with open(f"{work}/database.fasta", "w") as out:
    for name, residues in records[::every]:
        out.write(f">{name}\n{residues}\n")
with open(f"{work}/shuffled.fasta", "w") as shuffled, open(f"{work}/reversed.fasta", "w") as backward:
    for name, residues in chosen:
        letters = list(residues)
        random.shuffle(letters)
        shuffled.write(f">{name}\n{''.join(letters)}\n")
        backward.write(f">{name}\n{residues[::-1]}\n")
PYTHON

"$bin/tape-db" build "$work/database.fasta" -o "$work/database.tdb" --quiet
for kind in shuffled reversed; do
    "$bin/tape-msa" "$work/$kind.fasta" --db "$work/database.tdb" --rounds "$rounds" --evalue 10 --hits "$work/$kind.tsv" --quiet
    awk -v n="$queries" -v kind="$kind" '!/^#/ { e = $3 + 0; a += e <= .01; b += e <= .1; c += e <= 1; d += e <= 10 }
        END { printf "%s\tE<=.01 %.3f\tE<=.1 %.3f\tE<=1 %.3f\tE<=10 %.3f\n", kind, a / n, b / n, c / n, d / n }' "$work/$kind.tsv"
done
