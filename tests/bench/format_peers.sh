#!/bin/bash
# Do the original programs read what we write, and agree with it? format_peers.sh BIN_DIR QUERIES.fasta TARGETS.fasta[.xz] [THREADS]
# Needs hmmbuild, hmmsearch (HMMER 3), hhmake, hhalign (HH-suite 3) and python3 on the path. Aligns each query to the targets (three
# rounds), then prints for each query and in the mean:
#   match   largest difference between the match emissions of our .hmm and of hmmbuild --hand on our Stockholm file (must: <= 0.05)
#   move    the same for transitions
#   rank    Spearman correlation of the scores hmmsearch gives the targets with the two models, over targets that both report at E <= 10
#   both    targets within E <= 0.001 of both models over targets of either
#   log10E  median of log10(E of ours / E of hmmbuild's)
#   prob, score   hhalign of our .hhm with hhmake's of our A3M: probability, and score over that of hhmake's with itself
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,11p' "$0" >&2
    exit 2
fi
bin=$1 queries=$2 targets=$3 threads=${4:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $targets in *.xz) xz -dc "$targets" ;; *) cat "$targets" ;; esac > "$work/targets.fasta"
"$bin/tape-msa" "$queries" --db "$work/targets.fasta" --rounds 3 -o "$work/out" --format a3m,sto,hmm,hhm --features none \
    --threads "$threads" --quiet 2> /dev/null
cd "$work/out"
for ours in *.hmm; do
    id=${ours%.hmm}
    hmmbuild --hand -n "$id" "$work/$id.theirs.hmm" "$id.sto" > /dev/null
    for kind in ours theirs; do
        model=$ours
        [ $kind = theirs ] && model="$work/$id.theirs.hmm"
        hmmsearch --cpu "$threads" --noali -E 10 --tblout "$work/$id.$kind.tsv" "$model" "$work/targets.fasta" > /dev/null
    done
    hhmake -i "$id.a3m" -M a3m -o "$work/$id.theirs.hhm" -v 0 > /dev/null 2>&1
    hhalign -i "$id.hhm" -t "$work/$id.theirs.hhm" -o "$work/$id.hhr" -v 0 > /dev/null 2>&1
    hhalign -i "$work/$id.theirs.hhm" -t "$work/$id.theirs.hhm" -o "$work/$id.self.hhr" -v 0 > /dev/null 2>&1
done

python3 - "$work" <<'PYTHON'
import glob, math, os, statistics, sys

work = sys.argv[1]


def model(path):
    lines = open(path).read().split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("HMM ")) + 2
    values = lambda words: [0.0 if w == "*" else math.exp(-float(w)) for w in words]
    at += lines[at].split()[0] == "COMPO"
    match, moves, at = [], [values(lines[at + 1].split())], at + 2
    while not lines[at].startswith("//"):
        match.append(values(lines[at].split()[1:21]))
        moves.append(values(lines[at + 2].split()))
        at += 3
    return match, moves


def hits(path):
    rows = [line.split() for line in open(path) if line[0] != "#"]
    return {row[0]: (float(row[4]), float(row[5])) for row in rows}


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result, at = [0.0] * len(values), 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for k in range(at, end + 1):
            result[order[k]] = (at + end) / 2
        at = end + 1
    return result


def first_hit(path):
    """Probability and score of the first hit of a HH-suite result."""
    for line in open(path):
        if line.startswith("Probab="):
            words = dict(word.split("=") for word in line.split())
            return float(words["Probab"]), float(words["Score"])
    return 0.0, 0.0


def difference(a, b):
    return max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s))


table = []
for path in sorted(glob.glob(f"{work}/out/*.hmm")):
    name = os.path.basename(path)[:-4]
    ours, theirs = model(path), model(f"{work}/{name}.theirs.hmm")
    a, b = hits(f"{work}/{name}.ours.tsv"), hits(f"{work}/{name}.theirs.tsv")
    common = [t for t in a if t in b]
    close = lambda h: {t for t in h if h[t][0] <= 1e-3}
    either = close(a) | close(b)
    rank = float("nan")
    if len(common) > 2:
        x, y = ranks([a[t][1] for t in common]), ranks([b[t][1] for t in common])
        rank = statistics.correlation(x, y) if len(set(x)) > 1 and len(set(y)) > 1 else float("nan")
    ratio = [math.log10(a[t][0] / b[t][0]) for t in common if min(a[t][0], b[t][0]) > 0]
    probability, score = first_hit(f"{work}/{name}.hhr")
    _, own = first_hit(f"{work}/{name}.self.hhr")
    table.append((difference(ours[0], theirs[0]), difference(ours[1], theirs[1]), rank,
                  len(close(a) & close(b)) / len(either) if either else 1.0,
                  statistics.median(ratio) if ratio else float("nan"), probability, score / own if own else float("nan")))
    print(name, len(ours[0]), len(common), *(f"{value:.4f}" for value in table[-1]), sep="\t")
print("#query\tlength\thits\tmatch\tmove\trank\tboth\tlog10E\tprob\tscore")
for label, pick in (("mean", statistics.fmean), ("worst", None)):
    columns = [[v for v in column if not math.isnan(v)] for column in zip(*table)]
    worst = (max, max, min, min, lambda c: max(c, key=abs), min, min)
    print(label, len(table), "", *(f"{(pick or w)(c):.4f}" if c else "nan" for c, w in zip(columns, worst)), sep="\t")
PYTHON
