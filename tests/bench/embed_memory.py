#!/usr/bin/env python3
"""Peak resident memory of tape-embed on one protein of 35,213 residues among 10,000 short ones, beside what it may use.

  embed_memory.py BIN_DIR [-o TABLE.tsv] [--model NAME] [--threads 2] [--memory 64,1024] [--short 10000]

Random sequences. The first row is a run over one protein of 10 residues: the program, LibTorch, and the weights. A run may take that and
--memory, and at worst as much again as its input and output files. Exits 1 if one takes more.
"""
import argparse, json, os, random, subprocess, sys, tempfile
from pathlib import Path


def write_fasta(path, lengths):
    random.seed(1)
    path.write_text("".join(f">p{i}\n{''.join(random.choices('ACDEFGHIKLMNPQRSTVWY', k=n))}\n" for i, n in enumerate(lengths)))


def run(arguments, fasta, out, memory):
    command = [arguments.bin / "tape-embed", fasta, "--model", arguments.model, "-o", out, "--threads", arguments.threads,
               "--memory", memory, "--quiet", "--force"]
    process = subprocess.Popen([str(word) for word in command])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit("tape-embed failed")
    details = json.loads(Path(f"{out}.manifest.json").read_text())["details"]
    return usage.ru_maxrss * 1024, float(details["seconds of embedding"]), details.get("proteins read in windows", "0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--model", default="transformer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="64,1024")
    parser.add_argument("--short", type=int, default=10000)
    parser.add_argument("--longest", type=int, default=35213)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    random.seed(2)
    short = [random.randint(20, 80) for _ in range(arguments.short)]
    long_one = short[:len(short) // 2] + [arguments.longest] + short[len(short) // 2:]
    write_fasta(work / "floor.fasta", [10])
    write_fasta(work / "all.fasta", long_one)
    floor, _, _ = run(arguments, work / "floor.fasta", work / "floor.npz", 64)
    rows = ["#proteins\tlongest\tmemory_MiB\tread_in_windows\tpeak_MiB\tmay_take_MiB\tseconds", f"1\t10\t64\t0\t{floor >> 20}\t\t"]
    worst = 0.0
    for memory in map(int, arguments.memory.split(",")):
        peak, seconds, windows = run(arguments, work / "all.fasta", work / "all.npz", memory)
        files = (work / "all.fasta").stat().st_size + (work / "all.npz").stat().st_size
        allowed = floor + (memory << 20) + 2 * files
        worst = max(worst, peak / allowed)
        rows.append(f"{len(long_one)}\t{arguments.longest}\t{memory}\t{windows}\t{peak >> 20}\t{allowed >> 20}\t{seconds:.1f}")
    text = "\n".join(rows) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    print(text, end="")
    sys.exit(worst > 1)


main()
