#!/usr/bin/env python3
"""Time, memory and hits of homology searches against a large database, ours beside HMMER, PSI-BLAST and MMseqs2 in the same run.

  search_peers.py BIN_DIR DATABASE.fasta DATABASE.tdb [--single N] [--batch N] [--threads N] [--rounds N] [--work DIR]

single: the first N PSICOV-150 chains and avGFP, one query a process, cold start included (default 10).
batch:  the first N chains of the contact sets (1,013 in all), one process, against MMseqs2 -s 7.5 (default 0: not run).

DATABASE.fasta is plain FASTA of the same sequences as DATABASE.tdb. Peers that are not installed are left out. Building BLAST's
and MMseqs2's databases is not counted; MMseqs2 makes its k-mer table in memory, as it does without a prebuilt index. One line a
program: mean wall and CPU seconds a query, largest resident memory, targets with E <= 1e-3 in all (for psiblast, of any round).
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time
from pathlib import Path

AVGFP = ("MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLVTTLSYGVQCFSRYPDHMKRHDFFKSAMPEGYVQERTIFFKDDGNYKTRAEVKFEGDTLVNRIELKGIDFKE"
         "DGNILGHKLEYNYNSHNVYIMADKQKNGIKVNFKIRHNIEDGSVQLADHYQQNTPIGDGPVLLPDNHYLSTQSALSKDPNEKRDHMVLLEFVTAAGITHGMDELYK")


def run(command, log):
    """Wall seconds, CPU seconds (children included) and peak resident bytes of a command."""
    begin = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=open(log, "w"))
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed; see {log}:\n{Path(log).read_text()[-2000:]}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def table_hits(path, target, evalue, limit=1e-3):
    """(query, target) pairs of a whitespace table within the E-value."""
    found = set()
    for line in open(path):
        fields = line.split()
        if not line.startswith("#") and len(fields) > max(target, evalue) and float(fields[evalue]) <= limit:
            found.add((fields[2] if target == 0 else fields[0], fields[target]))
    return found


def tsv_hits(path, limit=1e-3):
    """Ours: a header line names the columns."""
    lines = [line.rstrip("\n").split("\t") for line in open(path)]
    names = [name.lstrip("#") for name in lines[0]]
    query, target, evalue = (names.index(name) for name in ("query", "target", "evalue"))
    return {(f[query], f[target]) for f in lines[1:] if float(f[evalue]) <= limit}


def chains(bin_dir, work):
    records = []
    for split in ("test_psicov150", "train", "valid"):
        out = work / f"{split}.jsonl"
        subprocess.run([bin_dir / "tape-data", "export", "contact", split, "-o", out, "--quiet", "--force"], check=True)
        records += [(r["id"], r["primary"]) for r in map(json.loads, open(out))]
    return records


def single(options, work, queries):
    t = str(options.threads)
    programs = {}
    if shutil.which("phmmer"):
        programs["phmmer"] = lambda q, o: ["phmmer", "--cpu", t, "--noali", "-o", "/dev/null", "--tblout", o, q, options.fasta]
        programs[f"jackhmmer -N {options.rounds}"] = lambda q, o: ["jackhmmer", "-N", options.rounds, "--cpu", t, "--noali", "-o", "/dev/null", "--tblout", o, q, options.fasta]
    if shutil.which("psiblast"):
        blast = work / "blast"
        if not (work / "blast.pin").exists() and not (work / "blast.pal").exists():
            subprocess.run(["makeblastdb", "-dbtype", "prot", "-in", options.fasta, "-out", blast, "-blastdb_version", "4"], check=True, stdout=subprocess.DEVNULL)
        programs[f"psiblast, {options.rounds} rounds"] = lambda q, o: ["psiblast", "-num_iterations", options.rounds, "-num_threads", t, "-db", blast, "-query", q, "-out", o,
                                                      "-outfmt", "6 qseqid sacc evalue", "-evalue", "10", "-max_target_seqs", "10000"]
    ours = options.bin / "tape-msa"
    for rounds in (1, options.rounds):
        programs[f"tape-msa, {rounds} round{'s' if rounds > 1 else ''}"] = (
            lambda q, o, rounds=rounds: [ours, q, "--db", options.tdb, "--rounds", rounds, "--threads", t, "-q", "--force", "-o", f"{o}.d"])
    print("program\tqueries\twall s\tCPU s\tpeak MB\ttargets at E <= 1e-3")
    for name, command in programs.items():
        wall = cpu = peak = 0
        found = set()
        for number, (identifier, residues) in enumerate(queries):
            query, out = work / f"q{number}.fasta", work / "out"
            query.write_text(f">{identifier}\n{residues}\n")
            seconds, busy, memory = run(command(query, out), work / "log")
            wall, cpu, peak = wall + seconds, cpu + busy, max(peak, memory)
            if "hmmer" in name:
                found |= {(identifier, target) for _, target in table_hits(out, 0, 4)}
            elif "blast" in name:
                rows = [line.split("\t") for line in open(out)]  # a last line says that it converged
                found |= {(identifier, row[1]) for row in rows if len(row) == 3 and float(row[2]) <= 1e-3}
            else:
                found |= tsv_hits(f"{out}.d/hits.tsv")
        print(f"{name}\t{len(queries)}\t{wall / len(queries):.2f}\t{cpu / len(queries):.2f}\t{peak / 1e6:.0f}\t{len(found)}", flush=True)


def batch(options, work, queries):
    t = str(options.threads)
    fasta = work / "batch.fasta"
    fasta.write_text("".join(f">{identifier}\n{residues}\n" for identifier, residues in queries))
    print("\nprogram\tqueries\twall s\tCPU s\tCPU s a query\tpeak MB\ttargets at E <= 1e-3")

    def line(name, figures, found):
        print(f"{name}\t{len(queries)}\t{figures[0]:.0f}\t{figures[1]:.0f}\t{figures[1] / len(queries):.2f}\t{figures[2] / 1e6:.0f}\t{len(found)}", flush=True)

    figures = run([options.bin / "tape-msa", fasta, "--db", options.tdb, "--rounds", options.rounds, "--threads", t, "-q", "--force", "-o", work / "batch"], work / "log")
    line(f"tape-msa, {options.rounds} rounds", figures, tsv_hits(work / "batch" / "hits.tsv"))
    if not shutil.which("mmseqs"):
        return
    query, target, result, scratch = (work / name for name in ("mq", "mdb", "mres", "mtmp"))
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    if not target.exists():
        subprocess.run(["mmseqs", "createdb", options.fasta, target], **quiet)
    subprocess.run(["mmseqs", "createdb", fasta, query], **quiet)
    for path in [*work.glob("mres*"), scratch]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    figures = run(["mmseqs", "search", query, target, result, scratch, "-s", "7.5", "--num-iterations", options.rounds, "--threads", t, "--max-seqs", "10000"], work / "log")
    subprocess.run(["mmseqs", "convertalis", query, target, result, work / "m.tsv", "--format-output", "query,target,evalue"], **quiet)
    found = {tuple(f[:2]) for f in (line.split() for line in open(work / "m.tsv")) if float(f[2]) <= 1e-3}
    line(f"MMseqs2 -s 7.5, {options.rounds} rounds", figures, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bin", "fasta", "tdb"):
        parser.add_argument(name, type=Path)
    for name, value in (("--single", 10), ("--batch", 0), ("--threads", 2), ("--rounds", 3)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        records = chains(options.bin, work)
        if options.single:
            single(options, work, [*records[: options.single], ("avGFP", AVGFP)])
        if options.batch:
            batch(options, work, records[: options.batch])


main()
