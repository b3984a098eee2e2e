#!/usr/bin/env python3
"""Do couplings find contacts? contacts.py BIN_DIR kortemme_pfam40.tar.xz [FAMILIES] [THREADS]

For the FAMILIES (default all 40) with the fewest rows: the structure's sequence becomes the query of the family's Pfam alignment,
tape-msa computes mutual information, mean-field and pseudolikelihood (plm) couplings (80% identity weights, APC), and each map is
scored by the precision of its first L and L/5 pairs with |i-j| >= 6; a contact is a pair of C-alpha atoms closer than 8 angstrom.
Prints a line a family, then means with 95% intervals and paired differences from bootstrap over families (10,000 samples, seed 1).
The archive holds, for every family, rows (natural_alignments/), a structure (pdb/FAMILY/) and for the structure's residues their
column (indices/: column from 0, letter, number, residue number and chain, ...). NumPy only.
"""
import io
import pathlib
import resource
import subprocess
import sys
import tarfile
import tempfile

import numpy as np

MAPS = {"mi": "mutual_information", "mean-field": "direct_coupling", "plm": "potts_coupling"}


def read_archive(path):
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read().decode() for m in archive if m.isfile()}


def read_rows(text):
    rows = []
    for line in text.splitlines():
        if line.startswith(">"):
            rows.append([line[1:].split()[0], ""])
        else:
            rows[-1][1] += line.strip()
    return rows


def alpha_carbons(text):
    """(residue number, chain) -> position; the first alternative location."""
    atoms = {}
    for line in text.splitlines():
        if line.startswith("ENDMDL"):
            break
        if line.startswith(("ATOM", "HETATM")) and line[12:16].strip() == "CA":
            atoms.setdefault((line[22:27].strip(), line[21]), [float(line[k : k + 8]) for k in (30, 38, 46)])
    return atoms


def families(files):
    """name, rows, query with '-' at columns without a structure, its C-alpha positions (NaN where unresolved)."""
    found = []
    for name, text in files.items():
        parts = pathlib.PurePath(name).parts
        if "natural_alignments" not in parts:
            continue
        family = parts[-1].split(".")[0]
        structure = next(n for n in files if f"/pdb/{family}/" in n)
        chain = pathlib.PurePath(structure).stem
        rows, atoms = read_rows(text), alpha_carbons(files[structure])
        index = next(n for n in files if n.endswith(f"/indices/{chain}.indices"))
        query, positions = ["-"] * len(rows[0][1]), []
        for line in files[index].splitlines():
            column, letter, _, number, chain_letter = line.split()[:5]
            query[int(column)] = letter
            positions.append(atoms.get((number, chain_letter), [np.nan] * 3))
        found.append((family, rows, "".join(query), np.array(positions)))
    return sorted(found, key=lambda f: (len(f[1]), f[0]))


def precision(scores, positions):
    """At L and L/5."""
    length = len(positions)
    i, j = np.triu_indices(length, 6)
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    known = ~np.isnan(distance)
    order = np.argsort(-scores[i, j][known], kind="stable")
    contact = (distance[known] < 8)[order]
    return [contact[: max(1, length // part)].mean() for part in (1, 5)]


def interval(values):
    rng = np.random.default_rng(1)
    means = values[rng.integers(len(values), size=(10000, len(values)))].mean(1)
    return "%.3f [%.3f, %.3f]" % (values.mean(), *np.quantile(means, [0.025, 0.975]))


def child_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary = pathlib.Path(sys.argv[1]) / "tape-msa"
    chosen = families(read_archive(sys.argv[2]))[: int(sys.argv[3]) if len(sys.argv) > 3 else None]
    threads = sys.argv[4] if len(sys.argv) > 4 else "1"
    results, seconds = {name: [] for name in MAPS}, dict.fromkeys(MAPS, 0.0)
    print("#family\trows\tL\t" + "\t".join(f"{name} L\t{name} L/5" for name in MAPS))
    for family, rows, query, positions in chosen:
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            (work / "msa").mkdir()
            (work / "msa" / f"{family}.fasta").write_text(
                f">{family}\n{query}\n" + "".join(f">{name}\n{row}\n" for name, row in rows)
            )
            (work / "query.fasta").write_text(f">{family}\n{query.replace('-', '')}\n")
            line = [family, str(len(rows)), str(len(positions))]
            for name, array in MAPS.items():
                before = child_seconds()
                command = [binary, work / "query.fasta", "--msa-dir", work / "msa", "--couplings", name, "-o", work / name]
                subprocess.run([*map(str, command), "--threads", threads, "--quiet"], check=True)
                seconds[name] += child_seconds() - before
                arrays = np.load(io.BytesIO((work / name / f"{family}.features.npz").read_bytes()))
                assert arrays["alignment"].shape == (len(rows) + 1, len(positions))
                results[name].append(precision(arrays[array], positions))
                line += ["%.3f" % value for value in results[name][-1]]
            print("\t".join(line), flush=True)
    values = {name: np.array(r) for name, r in results.items()}
    print(f"\n{len(chosen)} families: mean precision [95% interval], CPU seconds with all else that tape-msa does")
    for name in MAPS:
        print(f"{name}\tL {interval(values[name][:, 0])}\tL/5 {interval(values[name][:, 1])}\t{seconds[name]:.1f} s")
    for name in ("mi", "mean-field"):
        difference = values["plm"] - values[name]
        print(f"plm - {name}\tL {interval(difference[:, 0])}\tL/5 {interval(difference[:, 1])}")


if __name__ == "__main__":
    main()
