"""Scores alignments of families against reference alignments. Standard library only.

family_alignment.py score REFERENCE ALIGNMENT   prints sum-of-pairs and total-column of one family
family_alignment.py table SCORES.tsv            means a program of lines "program family SP TC cpu_seconds"

Sum-of-pairs: share of the reference's aligned residue pairs that the alignment aligns too. Total-column: share of the reference's
columns whose residues all stand in one column. Only reference columns in upper case count, and of those only columns with at least
two residues; rows that are not in the reference are ignored.
"""

import sys
from collections import Counter, defaultdict


def read_fasta(path):
    rows = {}
    with open(path) as handle:
        for line in handle:
            if line.startswith(">"):
                name = line[1:].split()[0]
                rows[name] = []
            else:
                rows[name].append(line.strip())
    return {name: "".join(parts) for name, parts in rows.items()}


def column_of_residue(row):
    return [column for column, letter in enumerate(row) if letter not in "-."]


def score(reference, alignment):
    """(sum-of-pairs, total-column)."""
    columns = {}
    for name, row in reference.items():
        if name not in alignment:
            raise SystemExit(f"row '{name}' of the reference is missing in the alignment")
        ours = alignment[name]
        if ours.replace("-", "").replace(".", "").upper() != row.replace("-", "").replace(".", "").upper():
            raise SystemExit(f"row '{name}' has other residues than the reference")
        columns[name] = column_of_residue(ours)
    seen = dict.fromkeys(reference, 0)
    pairs = right_pairs = whole = right_whole = 0
    for column in range(len(next(iter(reference.values())))):
        placed = []
        upper = True
        for name, row in reference.items():
            if row[column] in "-.":
                continue
            upper = upper and row[column].isupper()
            placed.append(columns[name][seen[name]])
            seen[name] += 1
        if not upper or len(placed) < 2:
            continue
        groups = Counter(placed).values()
        pairs += len(placed) * (len(placed) - 1) // 2
        right_pairs += sum(n * (n - 1) // 2 for n in groups)
        whole += 1
        right_whole += len(groups) == 1
    if whole == 0:
        raise SystemExit("the reference has no column in upper case")
    return right_pairs / pairs, right_whole / whole


def table(path):
    sums = defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    with open(path) as handle:
        for line in handle:
            program, _, sp, tc, cpu = line.split("\t")
            row = sums[program]
            row[0] += 1
            for i, value in enumerate((sp, tc, cpu), start=1):
                row[i] += float(value)
    print("program\tfamilies\tSP\tTC\tCPU s")
    for program, (n, sp, tc, cpu) in sums.items():
        print(f"{program}\t{n}\t{sp / n:.3f}\t{tc / n:.3f}\t{cpu:.1f}")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "score":
        print("{:.4f}\t{:.4f}".format(*score(read_fasta(sys.argv[2]), read_fasta(sys.argv[3]))))
    elif len(sys.argv) == 3 and sys.argv[1] == "table":
        table(sys.argv[2])
    else:
        raise SystemExit(__doc__)


main()
