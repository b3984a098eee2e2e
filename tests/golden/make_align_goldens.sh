#!/bin/bash
# Reference profiles of a small alignment, made by the original programs: make_align_goldens.sh (writes into align/ beside it).
# HMMER 3.3.2, HH-suite 3.3.0, NCBI BLAST+ 2.12.0 (Debian 12 packages hmmer, hhsuite, ncbi-blast+).
# small.a3m: columns 21 to 70 of the first 60 rows of data/msa/colabfold_avgfp_variant.a3m that have residues there.
set -euo pipefail
cd "$(dirname "$0")/align"

python3 - ../../../data/msa/colabfold_avgfp_variant.a3m <<'PYTHON'
import sys

rows = []
for line in open(sys.argv[1]).read().replace("\0", "").splitlines():
    if line.startswith(">"):
        rows.append([line[1:].split()[0], ""])
    elif rows:
        rows[-1][1] += line
begin, end, kept = 20, 70, []
for name, letters in rows:
    part, column = "", 0
    for letter in letters:
        if letter.islower():
            part += letter if begin < column < end else ""
        else:
            part += letter if begin <= column < end else ""
            column += 1
    if part.strip("-"):
        kept.append((name, part))
# Every seventh row as well, for fragments and insertions.
chosen = kept[:20] + kept[20::12]
chosen = chosen[:60]
with open("small.a3m", "w") as out:
    for number, (name, part) in enumerate(chosen):
        out.write(f">{'query' if number == 0 else 'row%d' % number}\n{part}\n")
widths = [0] * (end - begin + 1)
for _, part in chosen:
    column = run = 0
    for letter in part:
        if letter.islower():
            run += 1
            widths[column] = max(widths[column], run)
        else:
            column, run = column + 1, 0
with open("small.sto", "w") as out:
    out.write("# STOCKHOLM 1.0\n")
    for number, (name, part) in enumerate(chosen):
        padded, column, run = "", 0, 0
        for letter in part:
            if letter.islower():
                padded, run = padded + letter, run + 1
            else:
                padded += "." * (widths[column] - run) + letter
                column, run = column + 1, 0
        padded += "." * (widths[column] - run)
        out.write(f"{'query' if number == 0 else 'row%d' % number} {padded}\n")
    out.write("#=GC RF " + "".join("." * w + "x" for w in widths[:-1]) + "." * widths[-1] + "\n//\n")
with open("small.fasta", "w") as out:
    for number, (name, part) in enumerate(chosen):
        out.write(f">{number}\n{''.join(l for l in part if not l.islower())}\n")
with open("query.fasta", "w") as out:
    out.write(">query\n" + chosen[0][1] + "\n")
with open("targets.fasta", "w") as out:
    for number in (0, 30, 45):
        out.write(f">target{number}\nMAGHWW{chosen[number][1].replace('-', '').upper()}PPGSSKLE\n")
PYTHON

hmmbuild --hand -n query small.hmm small.sto > /dev/null
sed -i '/^DATE/d' small.hmm
hhmake -i small.a3m -M a3m -id 100 -diff inf -o small.hhm -v 0 > /dev/null
sed -i '/^DATE/d;/^COM/d' small.hhm
psiblast -in_msa small.fasta -subject query.fasta -out_ascii_pssm small.pssm > /dev/null 2>&1
# Forward scores: no filters, no corrections.
hmmsearch --max --nonull2 --noali --tblout scores.txt -E 1e9 small.hmm targets.fasta > /dev/null
grep -v '^#' scores.txt | awk '{ print $1, $6 }' > scores.tsv
rm -f small.sto small.fasta query.fasta scores.txt
