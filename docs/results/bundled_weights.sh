#!/usr/bin/env bash
# Trains the bundled Transformer (data/weights/transformer) on Swiss-Prot: first the profile alone, which is worth most for its compute
# (docs/results/pretraining.md), then masked residues too, so that the network knows masks.
#
#   docs/results/bundled_weights.sh [WORK_DIR]      WORK_DIR (default: build/pretraining) is that of pretraining.sh, which goes first
#
# Beside the profiles of pretraining.sh it searches with MORE_PROFILES proteins of the largest clusters that no alignment reaches yet.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
work=$(mkdir -p "${1:-$root/build/pretraining}" && cd "${1:-$root/build/pretraining}" && pwd)
bin=${TAPE_BIN:-$root/build/release/bin}
swissprot=${SWISSPROT:-$work/swissprot.tdb}
threads=${THREADS:-0}
say() { printf '\n== %s\n' "$*"; }

say "Profiles of further families"
if [ ! -s "$work/more.fasta" ]; then
  { grep -h '^>' "$work"/profiles/*.a3m | cut -c2- | cut -d ' ' -f 1 | sort -u; echo; cat "$work/clusters.tsv"; } |
    awk -F '\t' '/^$/ {table = 1; next} !table {reached[$1] = 1; next}
      !/^#/ {n[$1]++; if ($2 in reached) hit[$1]++; if ($4 <= 320 && !($2 in reached) && !($1 in first)) first[$1] = $2}
      END {for (c in first) if (hit[c] * 2 < n[c]) print n[c] "\t" first[c]}' |
    sort -k1,1nr -k2,2 | awk -v most="${MORE_PROFILES:-2500}" 'NR <= most {print $2}' > "$work/more.txt"
  "$bin/tape-db" subset "$swissprot" --ids "$work/more.txt" -o "$work/more.fasta"
fi
"$bin/tape-msa" "$work/more.fasta" --db "$swissprot" --rounds 1 --max-hits 3000 --threads "$threads" -o "$work/more"
rm -rf "$work/all_profiles" && mkdir "$work/all_profiles"
ln "$work"/profiles/*.features.npz "$work"/profiles/*.a3m "$work"/more/*.features.npz "$work"/more/*.a3m "$work/all_profiles/"

# train RUN OBJECTIVE STEPS RATE [options]
train() {
  local run=$1 objective=$2 steps=$3 rate=$4
  shift 4
  say "$objective"
  "$bin/tape-pretrain" --corpus "$swissprot" --clusters "$work/clusters.tsv" --exclude-tests --objective "$objective" \
    --profiles "$work/all_profiles" --steps "$steps" --tokens 4096 --window 384 --learning-rate "$rate" --checkpoint-every 1000 --log-every 50 \
    --seed 1 --threads "$threads" -o "$work/$run" "$@"
}
train shipped profile 10000 0.002 --size 3M
train shipped-masks mlm+profile 800 0.001 --start-from "$work/shipped" --export "$work/weights"
say "Weights in $work/weights; data/weights/transformer takes them, and 'tape-data verify --update' their hashes"
