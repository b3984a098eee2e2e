#!/usr/bin/env bash
# Measures the one-hot, UniRep and alignment rows on the full test sets and writes them beside TAPE's published rows.
#
#   docs/results/reproduce.sh [WORK_DIR]        WORK_DIR (default: build/finding) keeps features and finished fits: safe to interrupt
#
# Needs the UniRep weights (tape-data fetch unirep --accept-licence; CC BY-NC 4.0) and Swiss-Prot (fetched when absent).
# Alignments: two rounds over the whole of Swiss-Prot (the bundled family for fluorescence). Runs, by their names in the tables:
#   residues    secondary structure, RESIDUE_TRAIN (default 2000) training proteins
#   contacts    contacts, all 763
#   proteins    remote homology and stability, PROTEIN_TRAIN (default 1000)
#   gfp         fluorescence, every training protein
#   unaligned   remote homology and stability, every training protein; without alignments, whose searches would take days
# with one-hot, alignment, UniRep and their union, the last without those that need alignments. NAME-strong is the same with
# --head strong (secondary structure, fluorescence, and of `unaligned` stability; contacts have one head).
# Writes docs/results/finding.md (headline values beside TAPE's), finding.tsv (every metric) and finding_verdict.txt (what each run says
# of alignment against language model); the HTML pages stay in WORK_DIR.
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

# compare RUN ARMS TASKS TRAIN [options]; the run's folder is WORK_DIR/RUN
runs=()
compare() {
  local run=$1 arms=$2 tasks=$3 train=$4 limit=()
  shift 4
  [ "$train" = all ] || limit=(--train-limit "$train" --valid-limit 200)
  say "$run"
  "$bin/tape-compare" --preset full --threads "${THREADS:-0}" --seeds "${SEEDS:-1}" --db "$swissprot" --rounds "${ROUNDS:-2}" \
    --no-baseline --features "$arms" --tasks "$tasks" "${limit[@]}" "$@" -o "$work/$run"
  runs+=("$run")
}
arms=onehot,msa,unirep
compare residues $arms secondary_structure "${RESIDUE_TRAIN:-2000}"
compare residues-strong $arms secondary_structure "${RESIDUE_TRAIN:-2000}" --head strong
compare contacts $arms contact 2000
compare proteins $arms remote_homology,stability "${PROTEIN_TRAIN:-1000}"
compare gfp $arms fluorescence all
compare gfp-strong $arms fluorescence all --head strong
compare unaligned onehot,unirep remote_homology,stability all --no-hybrid
compare unaligned-strong onehot,unirep stability all --no-hybrid --head strong

say "Side by side"
files=()
for run in "${runs[@]}"; do files+=("$work/$run/result.json"); done
"$bin/tape-report" "${files[@]}" -o "$work/finding.html" --tsv "$results/finding.tsv" --markdown "$results/finding.md"
for run in "${runs[@]}"; do
  printf '%s\n' "$run"
  "$bin/tape-report" "$work/$run/result.json" -o "$work/$run.html"
  echo
done >"$results/finding_verdict.txt"
say "Tables in $results; pages in $work"
