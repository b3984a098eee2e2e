#!/usr/bin/env python3
"""Do our pseudolikelihood couplings rank pairs as plmc's do? couplings_against_plmc.py BIN_DIR PLMC ALIGNMENT.a3m

plmc (github.com/debbiemarkslab/plmc, `make all32`) fits the symmetric pseudolikelihood by L-BFGS; both get weights at 80% identity
and the penalty 0.2 (L - 1) on couplings. Scores are the norms over 20 amino acids in the zero-sum gauge, APC-corrected, on both
sides. Prints Spearman's and Pearson's correlation over all pairs and those with |i-j| >= 6, the overlap of the first L, and CPU
seconds of one thread each. NumPy only.
"""
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np


def child_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command):
    before = child_seconds()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return child_seconds() - before


def read_columns(path):
    rows = []
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            rows.append("")
        else:
            rows[-1] += "".join(c for c in line.strip() if not c.islower() and c != ".")
    return rows


def plmc_norms(path, length):
    """The couplings are the last numbers of the file: pairs i < j, 21 x 21 states, the gap first."""
    pairs = length * (length - 1) // 2
    e = np.frombuffer(path.read_bytes()[-pairs * 441 * 4 :], "<f4").reshape(pairs, 21, 21).astype(float)
    e = e - e.mean(1, keepdims=True) - e.mean(2, keepdims=True) + e.mean((1, 2), keepdims=True)
    norms = np.zeros((length, length))
    norms[np.triu_indices(length, 1)] = np.sqrt((e[:, 1:, 1:] ** 2).sum((1, 2)))
    norms += norms.T
    row = norms.sum(1) / (length - 1)
    return norms - np.outer(row, row) / (norms.sum() / (length * (length - 1)))


def ranks(values):
    return np.argsort(np.argsort(values)).astype(float)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    binary, plmc, alignment = pathlib.Path(sys.argv[1]) / "tape-msa", sys.argv[2], pathlib.Path(sys.argv[3])
    rows = read_columns(alignment)
    length = len(rows[0])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "msa").mkdir()
        (work / "msa" / "q.fasta").write_text("".join(f">r{k}\n{row}\n" for k, row in enumerate(rows)))
        (work / "q.fasta").write_text(f">q\n{rows[0].replace('-', '')}\n")
        ours = [binary, work / "q.fasta", "--msa-dir", work / "msa", "-o", work, "--threads", 1, "--quiet", "--couplings"]
        base = timed([*ours, "none"])
        seconds = timed([*ours, "plm"])
        theirs = [plmc, "-o", work / "params", "-le", 0.2 * (length - 1), "-lh", 0.01, "-m", 100, work / "msa" / "q.fasta"]
        plmc_seconds = timed(theirs)
        found = np.load(work / "q.features.npz")["potts_coupling"]
        expected = plmc_norms(work / "params", length)
    for separation in (1, 6):
        pairs = np.triu_indices(length, separation)
        x, y = found[pairs], expected[pairs]
        first = [set(np.argsort(-v)[:length]) for v in (x, y)]
        print(
            "|i-j| >= %d: Spearman %.4f, Pearson %.4f, of the first L pairs %.3f are shared"
            % (separation, np.corrcoef(ranks(x), ranks(y))[0, 1], np.corrcoef(x, y)[0, 1], len(first[0] & first[1]) / length)
        )
    print(
        "%d rows, %d columns; CPU seconds: tape-msa %.2f (%.2f without couplings), plmc %.2f: ratio %.1f"
        % (len(rows), length, seconds, base, plmc_seconds, plmc_seconds / seconds)
    )


if __name__ == "__main__":
    main()
