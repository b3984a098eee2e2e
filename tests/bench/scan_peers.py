#!/usr/bin/env python3
"""Speed of the ungapped scan beside MMseqs2's: scan_peers.py SEARCH_BENCH DATABASE.fasta DATABASE.tdb [--lengths 64,190,300,500] [--work DIR]

`search_bench` (built by `ninja search_bench`) scans the whole database on one thread with every SIMD target of the machine; `mmseqs
ungappedprefilter` does so with a query of the same length, one thread, in the same run. DATABASE.fasta is plain FASTA of the same
sequences as DATABASE.tdb. Prints 10^9 cell updates (query length x residues) a CPU second. MMseqs2's own start and reading of the
database are taken out by the difference between sixteen queries of a length and one, ours by the clock around the scan.
"""
import argparse
import os
import subprocess
import tempfile
from pathlib import Path


def sequences(path):
    lines = []
    for line in open(path):
        if line.startswith(">"):
            if lines:
                yield "".join(lines)
            lines = []
        else:
            lines.append(line.strip())
    yield "".join(lines)


def cpu_seconds(command):
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[1]} failed")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bench", "fasta", "tdb"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--lengths", default="64,190,300,500")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    lengths = [int(length) for length in options.lengths.split(",")]
    residues, queries = 0, {length: [] for length in lengths}
    for sequence in sequences(options.fasta):
        residues += len(sequence)
        if len(sequence) in queries and len(queries[len(sequence)]) < 16:
            queries[len(sequence)].append(sequence)
    print("program\t" + "\t".join(f"query of {length}" for length in lengths))
    ours = {}
    for line in subprocess.check_output([options.bench, options.tdb, *map(str, lengths)], text=True).splitlines()[1:]:
        fields = line.split("\t")
        ours.setdefault(fields[0], []).append(fields[3])
    for target, figures in ours.items():
        print(f"tape scan, {target}\t" + "\t".join(figures), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "db").exists():
            subprocess.run(["mmseqs", "createdb", options.fasta, work / "db"], check=True, stdout=subprocess.DEVNULL)
        figures = []
        for length in lengths:
            seconds = []
            for count in (1, len(queries[length])):
                fasta = work / "queries.fasta"
                fasta.write_text("".join(f">q{i}\n{sequence}\n" for i, sequence in enumerate(queries[length][:count])))
                subprocess.run(["mmseqs", "createdb", fasta, work / "queries"], check=True, stdout=subprocess.DEVNULL)
                for old in work.glob("result*"):
                    old.unlink()
                seconds.append(cpu_seconds(["mmseqs", "ungappedprefilter", work / "queries", work / "db", work / "result", "--threads", "1"]))
            figures.append(f"{length * (len(queries[length]) - 1) * residues / 1e9 / (seconds[1] - seconds[0]):.1f}")
        version = subprocess.check_output(["mmseqs", "version"], text=True).strip()
        print(f"MMseqs2 {version} ungappedprefilter\t" + "\t".join(figures))


main()
