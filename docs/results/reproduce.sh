#!/usr/bin/env bash
# Measures the one-hot, UniRep and alignment rows on the full test sets and writes them beside TAPE's published rows.
#
#   docs/results/reproduce.sh [WORK_DIR]        WORK_DIR (default: build/finding) keeps features and finished fits: safe to interrupt
#
# Needs the UniRep weights (tape-data fetch unirep --accept-licence; CC BY-NC 4.0) and Swiss-Prot (fetched when absent).
#   1. protein: onehot, unirep                    every training protein of the protein-level tasks
#   2. msa: onehot, msa, unirep, msa+unirep       MSA_TRAIN (default 1000) training proteins a task, alignments searched in the
#                                                 whole of Swiss-Prot, about an hour on two cores; the same proteins for every arm
# Writes docs/results/finding.md (headline values beside TAPE's), finding.tsv (every metric) and finding_verdict.txt (what run 2
# says of alignment against language model); the HTML pages stay in WORK_DIR.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
work=$(mkdir -p "${1:-$root/build/finding}" && cd "${1:-$root/build/finding}" && pwd)
bin=${TAPE_BIN:-$root/build/release/bin}
results=$root/docs/results
export TAPE_CACHE=${TAPE_CACHE:-$work/cache}
say() { printf '\n== %s\n' "$*"; }

say "Swiss-Prot"
swissprot=${SWISSPROT:-}
if [ -z "$swissprot" ]; then
  swissprot=$work/swissprot.tdb
  if [ ! -s "$swissprot" ]; then
    [ -s "$TAPE_CACHE/swissprot.fasta.zst" ] || "$bin/tape-data" fetch swissprot
    "$bin/tape-db" build "$TAPE_CACHE/swissprot.fasta.zst" -o "$swissprot"
  fi
fi

tasks=secondary_structure,contact,remote_homology,fluorescence,stability # TAPE's five
common=(--preset full --threads "${THREADS:-0}" --no-baseline)
say "One-hot and UniRep, all training proteins of the protein-level tasks"
"$bin/tape-compare" "${common[@]}" --features onehot,unirep --no-hybrid --tasks remote_homology,fluorescence,stability --seeds 1 -o "$work/protein"
say "Alignments from Swiss-Prot"
"$bin/tape-compare" "${common[@]}" --features onehot,msa,unirep --tasks "$tasks" --seeds "${SEEDS:-1}" \
  --train-limit "${MSA_TRAIN:-1000}" --valid-limit 200 --db "$swissprot" --rounds "${ROUNDS:-2}" -o "$work/msa"

say "Side by side"
"$bin/tape-report" "$work/protein/result.json" "$work/msa/result.json" \
  -o "$work/finding.html" --tsv "$results/finding.tsv" --markdown "$results/finding.md"
"$bin/tape-report" "$work/msa/result.json" -o "$work/msa.html" >"$results/finding_verdict.txt"
say "Tables in $results; pages in $work/finding.html and $work/msa.html"
