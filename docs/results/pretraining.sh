#!/usr/bin/env bash
# What a network should be pretrained for: masked residues, the profile, or both, at equal compute, on secondary structure and contacts.
#
#   docs/results/pretraining.sh [WORK_DIR]      WORK_DIR (default: build/pretraining) keeps alignments, weights and fits: safe to interrupt
#
# Trains the same network from the same draw on Swiss-Prot with each objective (STEPS steps of 4,096 tokens; SIZE), one member of each cluster
# an epoch, whole clusters held out, test proteins kept out (the profile objective reads the proteins that have one), and reads each with
# the same heads beside one-hot and the network without training. Then the bundled Transformer against the same network without training,
# all five tasks, three seeds.
# Profiles: one round of search against Swiss-Prot for PROFILES proteins, each of another cluster, the largest first; their homologs share
# the columns. The search is not counted as compute of the profile objective; its CPU time is printed.
# Writes docs/results/pretraining.tsv, pretraining.md and pretraining_verdict.txt.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
work=$(mkdir -p "${1:-$root/build/pretraining}" && cd "${1:-$root/build/pretraining}" && pwd)
bin=${TAPE_BIN:-$root/build/release/bin}
results=$root/docs/results
steps=${STEPS:-1500} size=${SIZE:-2M} threads=${THREADS:-0}
export TAPE_CACHE=${TAPE_CACHE:-$work/cache}
say() { printf '\n== %s\n' "$*"; }

say "Swiss-Prot and its clusters"
swissprot=${SWISSPROT:-$work/swissprot.tdb}
if [ ! -s "$swissprot" ]; then
  [ -s "$TAPE_CACHE/swissprot.fasta.zst" ] || "$bin/tape-data" fetch swissprot
  "$bin/tape-db" build "$TAPE_CACHE/swissprot.fasta.zst" -o "$swissprot"
fi
[ -s "$work/clusters.tsv" ] || "$bin/tape-db" cluster "$swissprot" --identity 0.5 --threads "$threads" -o "$work/clusters.tsv"

say "Profiles"
if [ ! -s "$work/profiles.fasta" ]; then
  # The largest clusters; of each the first member of at most 320 residues.
  awk -F '\t' '!/^#/ {n[$1]++; if ($4 <= 320 && !($1 in first)) first[$1] = $2} END {for (c in first) print n[c] "\t" first[c]}' \
    "$work/clusters.tsv" | sort -k1,1nr -k2,2 | awk -v most="${PROFILES:-2500}" 'NR <= most {print $2}' > "$work/chosen.txt"
  "$bin/tape-db" subset "$swissprot" --ids "$work/chosen.txt" -o "$work/profiles.fasta"
fi
time "$bin/tape-msa" "$work/profiles.fasta" --db "$swissprot" --rounds 1 --max-hits 3000 --threads "$threads" -o "$work/profiles"

cd "$work"
# The same network as it was drawn: a step at rate 0.
"$bin/tape-pretrain" --corpus "$swissprot" --clusters clusters.tsv --exclude-tests --size "$size" --steps 1 --learning-rate 0 --seed 1 \
  --threads "$threads" -q -o untrained
arms=onehot,transformer@untrained
for objective in mlm profile mlm+profile; do
  say "$objective"
  run=${objective/mlm+profile/mixed} # + joins sources in the name of an arm
  targets=()
  [ "$objective" = mlm ] || targets=(--profiles "$work/profiles")
  "$bin/tape-pretrain" --corpus "$swissprot" --clusters clusters.tsv --exclude-tests --size "$size" --objective "$objective" "${targets[@]}" \
    --steps "$steps" --tokens 4096 --learning-rate 0.002 --seed 1 --threads "$threads" -o "$run"
  arms+=,transformer@$run
done

# compare RUN TASKS TRAIN [options]
compare() {
  local run=$1 tasks=$2 train=$3
  shift 3
  say "$run"
  "$bin/tape-compare" --preset full --threads "$threads" --seeds "${SEEDS:-2}" --no-baseline --no-hybrid --features "$arms" \
    --tasks "$tasks" --train-limit "$train" --valid-limit 200 "$@" -o "$run"
}
compare residues secondary_structure 1000
compare contacts contact 300

# The bundled weights against the same network without training, all five tasks, three seeds.
arms=onehot,transformer@random,transformer
SEEDS=3
compare bundled-residues secondary_structure 1000
compare bundled-contacts contact 100
compare bundled-proteins remote_homology,fluorescence,stability 1000 --test-limit 1500

say "Side by side"
runs=(residues contacts bundled-residues bundled-contacts bundled-proteins)
"$bin/tape-report" "${runs[@]/%//result.json}" -o pretraining.html --tsv "$results/pretraining.tsv" --markdown "$results/pretraining.md"
for run in "${runs[@]}"; do
  printf '%s\n' "$run"
  "$bin/tape-report" "$run/result.json" -o "$run.html"
  echo
done > "$results/pretraining_verdict.txt"
say "Tables in $results; pages in $work"
