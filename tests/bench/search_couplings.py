#!/usr/bin/env python3
"""Do our alignments carry as much contact signal as jackhmmer's? search_couplings.py BIN_DIR DATABASE.fasta DATABASE.tdb [--pfam ARCHIVE]
       [--proteins N] [--rounds 3] [--threads 2] [--work DIR]

Every query is searched in the same database by `tape-msa --rounds R` and by `jackhmmer -N R`; tape-msa reads the couplings of a
pseudolikelihood Potts model (80% identity weights, APC) off both alignments; each map is scored by the precision of its first L and
L/5 pairs with |i-j| >= 6 (contact: C-alpha closer than 8 angstrom). Queries are the first N (default all) PSICOV-150 chains, or with
--pfam the structures of the 40 Pfam domains of that archive (as contacts.py reads it). Prints a line a protein, then means with 95%
intervals and the paired difference, from bootstrap over proteins (10,000 samples, seed 1), and CPU seconds of both searches.
A query with no homologs has no couplings: its precision is that of a constant map, by both programs.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from contacts import child_seconds, families, interval, precision, read_archive


def psicov(binary, work):
    out = work / "psicov.jsonl"
    subprocess.run([binary / "tape-data", "export", "contact", "test_psicov150", "-o", out, "--quiet", "--force"], check=True)
    for record in map(json.loads, open(out)):
        positions = np.array(record["tertiary_ca"], float)
        positions[~np.array(record["valid_mask"], bool)] = np.nan
        yield record["id"], record["primary"], positions


def pfam(archive):
    for name, _, query, positions in families(read_archive(archive)):
        yield name, query.replace("-", ""), positions


def ours(options, query, work):
    command = [options.bin / "tape-msa", query, "--db", options.tdb, "--rounds", options.rounds, "--format", "a3m", "--features", "none"]
    subprocess.run([str(word) for word in [*command, "--threads", options.threads, "-q", "--force", "-o", work]], check=True)


def jackhmmer(options, query, work):
    work.mkdir(exist_ok=True)
    command = ["jackhmmer", "-N", options.rounds, "--cpu", options.threads, "--noali", "-o", "/dev/null", "-A", work / f"{query.stem}.sto", query, options.fasta]
    subprocess.run([str(word) for word in command], check=True)


def couplings(options, query, alignments, work):
    """(rows, coupling map) of the alignment in a folder; a constant map where there is none."""
    command = [options.bin / "tape-msa", query, "--msa-dir", alignments, "--couplings", "plm", "--threads", options.threads, "-q", "--force", "-o", work]
    subprocess.run([str(word) for word in command], check=True)
    arrays = np.load(work / f"{query.stem}.features.npz")
    length = arrays["alignment"].shape[1]
    return len(arrays["alignment"]), arrays["potts_coupling"] if "potts_coupling" in arrays else np.zeros((length, length))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bin", "fasta", "tdb"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--pfam", type=pathlib.Path)
    parser.add_argument("--proteins", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    searches = {"tape-msa": ours, "jackhmmer": jackhmmer}
    results, seconds = {name: [] for name in searches}, dict.fromkeys(searches, 0.0)
    print("#protein\tL\t" + "\t".join(f"{name} rows\tL\tL/5" for name in searches))
    with tempfile.TemporaryDirectory() as scratch:
        root = options.work or pathlib.Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        proteins = list(pfam(options.pfam) if options.pfam else psicov(options.bin, root))[: options.proteins]
        for name, residues, positions in proteins:
            query = root / f"{name}.fasta"
            query.write_text(f">{name}\n{residues}\n")
            line = [name, str(len(residues))]
            for program, search in searches.items():
                before = child_seconds()
                search(options, query, root / program)
                seconds[program] += child_seconds() - before
                rows, scores = couplings(options, query, root / program, root / f"{program}.couplings")
                results[program].append(precision(scores, positions))
                line += [str(rows)] + ["%.3f" % value for value in results[program][-1]]
            print("\t".join(line), flush=True)
    values = {name: np.array(r) for name, r in results.items()}
    print(f"\n#{len(proteins)} proteins\tprecision at L\tat L/5\tCPU seconds of the search")
    for name in searches:
        print(f"{name}\t{interval(values[name][:, 0])}\t{interval(values[name][:, 1])}\t{seconds[name]:.0f}")
    difference = values["tape-msa"] - values["jackhmmer"]
    print(f"tape-msa - jackhmmer\t{interval(difference[:, 0])}\t{interval(difference[:, 1])}")


if __name__ == "__main__":
    main()
