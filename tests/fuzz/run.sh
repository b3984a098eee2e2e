#!/usr/bin/env bash
# Builds the fuzz targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each on seeds made from the
# project's own data.
#
#   tests/fuzz/run.sh [EXECUTIONS [TARGET...]]     EXECUTIONS of each target (default 100000); targets by name, as alignment_fuzz
#
# Corpora grow below build/fuzz/corpus and are used again. A finding leaves the input in build/fuzz/findings and ends the script with
# status 1. The last line counts the executions of all targets.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
executions=${1:-100000}
shift || true
build=$root/build/fuzz
cd "$root"
[ -f "$build/build.ninja" ] || cmake --preset fuzz >/dev/null
[ $# -gt 0 ] || set -- alignment_fuzz array_fuzz blast_fuzz database_fuzz dataset_fuzz fasta_fuzz pickle_fuzz profile_fuzz safetensors_fuzz torch_file_fuzz
cmake --build --preset fuzz --target "$@" -- -j "${JOBS:-2}" >&2

seeds=$build/seeds
golden=$root/tests/golden
lines() { xz -dc "$1" 2>/dev/null | head -n "$2" || true; }
if [ ! -d "$seeds" ]; then
  mkdir -p "$seeds"/{alignment,array,blast,database,dataset,fasta,pickle,profile,safetensors,torch_file}
  cp "$golden"/align/small.a3m "$seeds"/alignment
  head -n 12 data/msa/GFP_AEQVI_proteingym.a2m >"$seeds"/alignment/gfp.a2m
  printf '# STOCKHOLM 1.0\n#=GF ID x\na/1-4  ACDE\nb      A-D.\n#=GC RF  xxxx\n//\n' >"$seeds"/alignment/small.sto
  printf 'CLUSTAL O(1.2.4)\n\na  ACDE 4\nb  A-DE 3\n   * **\n\na  FG\nb  FG\n' >"$seeds"/alignment/small.aln
  cp "$golden"/align/small.{hhm,hmm,pssm} "$seeds"/profile
  head -n 40 "$golden"/align/targets.fasta >"$seeds"/fasta/plain.fasta
  for tool in gzip xz zstd; do "$tool" -c <"$seeds"/fasta/plain.fasta >"$seeds"/fasta/plain.$tool; done
  task=0
  for file in secondary_structure_cb513 secondary_structure_q8_train contact_test_psicov150 remote_homology_test_fold fluorescence_test stability_test; do
    for packed in data/tape/$file.*; do { printf "\\x$(printf %02x $task)"; lines "$packed" 3; } >"$seeds"/dataset/$file; done
    task=$((task + 1))
  done
  printf '\x04[{"primary": "ACDE", "log_fluorescence": [3.5], "num_mutations": 2, "id": "0"}]' >"$seeds"/dataset/json
  printf '\x04>a log_fluorescence=3.7 num_mutations=2\nACDE\n>b 3.1\nACDE\n' >"$seeds"/dataset/fasta
  cp "$golden"/data/*.pickle "$seeds"/pickle
  cp tests/learn/golden/checkpoints/*.pt "$seeds"/torch_file
  cp "$golden"/data/*.npy "$golden"/data/*.npz "$seeds"/array
  printf '\x04' | cat - "$golden"/data/fluorescence.tfrecord >"$seeds"/dataset/tfrecord
  printf '\x02' | cat - "$golden"/data/proteinnet.tfrecord >"$seeds"/dataset/proteinnet
  for volume in ordinal parsed; do
    for ending in pin psq; do
      size=$(stat -c %s "$golden/data/$volume.$ending")
      printf "\\x$(printf %02x $((size % 256)))\\x$(printf %02x $((size / 256)))"
    done | cat - "$golden"/data/$volume.{pin,psq,phr} >"$seeds"/blast/$volume
  done
  python3 - "$seeds" <<'PYTHON'
import json, struct, sys
header = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
                     "__metadata__": {"format": "pt"}}).encode()
open(f"{sys.argv[1]}/safetensors/two", "wb").write(struct.pack("<Q", len(header)) + header + bytes(range(22)))
PYTHON
  # A database of three sequences in the layout of align/database.hpp; the target mends the header's checksum.
  python3 - "$seeds" <<'PYTHON'
import struct, sys
sequences, texts = [bytes([0, 1, 2]), bytes([3, 4, 5, 6]), bytes([7, 21, 8, 9])], [b"a", b"b described", b"c"]
up = lambda n: (n + 63) // 64 * 64
count, residues, letters = len(sequences), sum(map(len, sequences)), sum(map(len, texts))
at = [128]
at.append(up(at[0] + 8 * (count + 1)))
at.append(up(at[1] + 8 * (count + 1)))
at.append(up(at[2] + residues))
size = up(at[3] + letters) + 16
offsets = lambda parts: b"".join(struct.pack("<Q", sum(map(len, parts[:k]))) for k in range(count + 1))
data = bytearray(size)
data[:112] = struct.pack("<8sII8Q", b"TAPE-DB\n", 1, 0x01020304, count, residues, letters, size, *at).ljust(112, b"\0")
for place, part in zip(at, (offsets(sequences), offsets(texts), b"".join(sequences), b"".join(texts))):
    data[place:place + len(part)] = part
open(f"{sys.argv[1]}/database/three", "wb").write(data)
PYTHON
fi

total=0
mkdir -p "$build/findings"
for target in "$@"; do
  kind=${target%_fuzz}
  mkdir -p "$build/corpus/$kind"
  "$build/fuzz/$target" -runs="$executions" -max_len=8192 -rss_limit_mb=2048 -timeout=20 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$kind-" "$build/corpus/$kind" "$seeds/$kind" 2>"$build/$target.log" ||
    { tail -n 40 "$build/$target.log" >&2; echo "$target: a finding; its input is in $build/findings" >&2; exit 1; }
  done_now=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
  echo "$target: $done_now executions, $(sed -n 's/^stat::average_exec_per_sec: *//p' "$build/$target.log") a second, no finding"
  total=$((total + done_now))
done
echo "$total executions, no finding"
