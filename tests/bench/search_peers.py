#!/usr/bin/env python3
"""Time, memory and hits of homology searches against a large database, ours beside HMMER, PSI-BLAST and MMseqs2 in the same run.

  search_peers.py BIN_DIR DATABASE.fasta DATABASE.tdb [--single N] [--decoys N] [--batch N] [--tasks N] [--threads N] [--rounds N] [--only NAME ...] [--work DIR]

single: the first N PSICOV-150 chains and avGFP, one query a process, cold start included (default 10).
decoys: the first N chains and avGFP against the database joined with its reversed sequences: how many targets a program finds
        before 0.1% and 1% as many reversed ones, over all queries by E-value (default 0: not run).
batch:  the first N chains of the contact sets (1,013 in all), one process, against MMseqs2 -s 7.5 (default 0: not run); ours with every
        target scanned, and with the clusters of tape-db cluster, which is timed on its own.
tasks:  the same with N of the 25,081 proteins of secondary structure and remote homology, drawn at random (seed 1; default 0: not run).

DATABASE.fasta is plain FASTA of the same sequences as DATABASE.tdb. Peers that are not installed are left out. Building BLAST's
and MMseqs2's databases is not counted; MMseqs2 makes its k-mer table in memory, as it does without a prebuilt index. One line a
program: mean wall and CPU seconds a query, largest resident memory, targets with E <= 1e-3 in all (for psiblast, of any round).
"""
import argparse, json, os, random, shutil, subprocess, sys, tempfile, time
from pathlib import Path

AVGFP = ("MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLVTTLSYGVQCFSRYPDHMKRHDFFKSAMPEGYVQERTIFFKDDGNYKTRAEVKFEGDTLVNRIELKGIDFKE"
         "DGNILGHKLEYNYNSHNVYIMADKQKNGIKVNFKIRHNIEDGSVQLADHYQQNTPIGDGPVLLPDNHYLSTQSALSKDPNEKRDHMVLLEFVTAAGITHGMDELYK")


DECOY = "reversed_"


def run(command, log):
    """Wall seconds, CPU seconds (children included) and peak resident bytes of a command."""
    begin = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=open(log, "w"))
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed; see {log}:\n{Path(log).read_text()[-2000:]}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def hmmer_hits(path, query):
    """(E-value, query, target) of a --tblout table."""
    rows = [line.split() for line in open(path) if not line.startswith("#")]
    return [(float(row[4]), query, row[0]) for row in rows]


def blast_hits(path, query):
    """Best E-value of any round; a last line says that it converged."""
    best = {}
    for row in (line.rstrip("\n").split("\t") for line in open(path)):
        if len(row) == 3:
            best[row[1]] = min(float(row[2]), best.get(row[1], float('inf')))
    return [(evalue, query, target) for target, evalue in best.items()]


def our_hits(path, query=None):
    """A header line names the columns."""
    lines = [line.rstrip("\n").split("\t") for line in open(path)]
    names = [name.lstrip("#") for name in lines[0]]
    columns = [names.index(name) for name in ("evalue", "query", "target")]
    return [(float(f[columns[0]]), f[columns[1]], f[columns[2]]) for f in lines[1:]]


def within(hits, limit=1e-3):
    return len({(query, target) for evalue, query, target in hits if evalue <= limit})


def before_false(hits, share):
    """Most targets that can be taken, best E-value first over all queries, while decoys are at most this share of them."""
    most = found = decoys = 0
    for evalue, query, target in sorted(hits):
        decoy = target.startswith(DECOY)
        decoys, found = decoys + decoy, found + (not decoy)
        if decoys <= share * found:
            most = found
    return most


def proteins(bin_dir, work, task, splits):
    records = []
    for split in splits:
        out = work / f"{task}_{split}.jsonl"
        subprocess.run([bin_dir / "tape-data", "export", task, split, "-o", out, "--quiet", "--force"], check=True)
        records += [(f"{task}_{split}_{r['id']}", r["primary"]) for r in map(json.loads, open(out))]
    return records


def chains(bin_dir, work):
    return proteins(bin_dir, work, "contact", ("test_psicov150", "train", "valid"))


def task_sample(bin_dir, work, count):
    records = proteins(bin_dir, work, "secondary_structure", ("train", "valid", "cb513"))
    records += proteins(bin_dir, work, "remote_homology", ("train", "valid", "test_fold"))
    return random.Random(1).sample(records, count)


def blast_database(fasta, path):
    if not path.with_suffix(".pin").exists() and not path.with_suffix(".pal").exists():
        subprocess.run(["makeblastdb", "-dbtype", "prot", "-in", fasta, "-out", path, "-blastdb_version", "4"], check=True, stdout=subprocess.DEVNULL)
    return path


def programs(options, work, fasta, tdb):
    """name -> (command of a query file and an output path, reader of that output)"""
    t, r = str(options.threads), options.rounds
    chosen = {}
    if shutil.which("phmmer"):
        quiet = ["--cpu", t, "--noali", "-o", "/dev/null", "--tblout"]
        chosen["phmmer"] = lambda q, o: ["phmmer", *quiet, o, q, fasta], hmmer_hits
        chosen[f"jackhmmer -N {r}"] = lambda q, o: ["jackhmmer", "-N", r, *quiet, o, q, fasta], hmmer_hits
    if shutil.which("psiblast"):
        blast = blast_database(fasta, work / f"blast_{fasta.stem}")
        chosen[f"psiblast, {r} rounds"] = lambda q, o: ["psiblast", "-num_iterations", r, "-num_threads", t, "-db", blast, "-query", q, "-out", o,
                                                        "-outfmt", "6 qseqid sacc evalue", "-evalue", "10", "-max_target_seqs", "10000"], blast_hits
    for rounds in (1, r):
        chosen[f"tape-msa, {rounds} round{'s' if rounds > 1 else ''}"] = (
            lambda q, o, rounds=rounds: [options.bin / "tape-msa", q, "--db", tdb, "--rounds", rounds, "--threads", t, "-q", "--force", "--evalue", "10", "--hits", o], our_hits)
    return {name: chosen[name] for name in chosen if not options.only or name in options.only}


def search_all(command, read, queries, work):
    """Seconds, CPU seconds, peak bytes and hits of one process a query."""
    wall = cpu = peak = 0
    hits = []
    for number, (identifier, residues) in enumerate(queries):
        query, out = work / f"q{number}.fasta", work / "out"
        query.write_text(f">{identifier}\n{residues}\n")
        seconds, busy, memory = run(command(query, out), work / "log")
        wall, cpu, peak = wall + seconds, cpu + busy, max(peak, memory)
        hits += read(out, identifier)
    return wall, cpu, peak, hits


def single(options, work, queries):
    print("program\tqueries\twall s\tCPU s\tpeak MB\ttargets at E <= 1e-3")
    for name, (command, read) in programs(options, work, options.fasta, options.tdb).items():
        wall, cpu, peak, hits = search_all(command, read, queries, work)
        print(f"{name}\t{len(queries)}\t{wall / len(queries):.2f}\t{cpu / len(queries):.2f}\t{peak / 1e6:.0f}\t{within(hits)}", flush=True)


def write_with_decoys(fasta, path):
    def flush(out, header, lines):
        residues = "".join(lines)
        if header:
            name, _, description = header[1:].partition(" ")
            out.write(f">{name}\n{residues}\n>{DECOY}{name}\n{residues[::-1]}\n")

    header, lines = "", []
    with open(fasta) as source, open(path, "w") as out:
        for line in source:
            if line.startswith(">"):
                flush(out, header, lines)
                header, lines = line.rstrip(), []
            else:
                lines.append(line.strip())
        flush(out, header, lines)


def decoys(options, work, queries):
    fasta, tdb = work / "decoys.fasta", work / "decoys.tdb"
    if not tdb.exists():
        write_with_decoys(options.fasta, fasta)
        subprocess.run([options.bin / "tape-db", "build", fasta, "-o", tdb, "-q"], check=True)
    print("\nprogram\tqueries\ttargets at 0.1% decoys\tat 1% decoys\tat E <= 1e-3\tdecoys at E <= 1e-3")
    for name, (command, read) in programs(options, work, fasta, tdb).items():
        hits = search_all(command, read, queries, work)[3]
        false = [hit for hit in hits if hit[2].startswith(DECOY)]
        true = [hit for hit in hits if not hit[2].startswith(DECOY)]
        print(f"{name}\t{len(queries)}\t{before_false(hits, 0.001)}\t{before_false(hits, 0.01)}\t{within(true)}\t{within(false)}", flush=True)


def batch(options, work, queries):
    t = str(options.threads)
    fasta = work / "batch.fasta"
    fasta.write_text("".join(f">{identifier}\n{residues}\n" for identifier, residues in queries))
    print("\nprogram\tqueries\twall s\tCPU s\tCPU s a query\tpeak MB\ttargets at E <= 1e-3")

    def line(name, figures, hits):
        print(f"{name}\t{len(queries)}\t{figures[0]:.0f}\t{figures[1]:.0f}\t{figures[1] / len(queries):.2f}\t{figures[2] / 1e6:.0f}\t{within(hits)}", flush=True)

    table, clustered = work / "clusters.tsv", f"tape-msa --clusters, {options.rounds} rounds"
    if not table.exists() and (not options.only or clustered in options.only):
        figures = run([options.bin / "tape-db", "cluster", options.tdb, "--threads", t, "-q", "--force", "-o", table], work / "log")
        print(f"tape-db cluster, once a database\t\t{figures[0]:.0f}\t{figures[1]:.0f}\t\t{figures[2] / 1e6:.0f}\t", flush=True)
    for name, extra in ((f"tape-msa, {options.rounds} rounds", []), (clustered, ["--clusters", table])):
        if options.only and name not in options.only:
            continue
        shutil.rmtree(work / "batch", ignore_errors=True)
        figures = run([options.bin / "tape-msa", fasta, "--db", options.tdb, "--rounds", options.rounds, *extra, "--threads", t, "-q", "--force", "-o", work / "batch"], work / "log")
        line(name, figures, our_hits(work / "batch" / "hits.tsv"))
    peer = f"MMseqs2 -s 7.5, {options.rounds} rounds"
    if not shutil.which("mmseqs") or (options.only and peer not in options.only):
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
    rows = (row.split() for row in open(work / "m.tsv"))
    line(peer, figures, [(float(row[2]), row[0], row[1]) for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bin", "fasta", "tdb"):
        parser.add_argument(name, type=Path)
    for name, value in (("--single", 10), ("--decoys", 0), ("--batch", 0), ("--tasks", 0), ("--threads", 2), ("--rounds", 3)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="programs, by their names in the table")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        records = chains(options.bin, work)
        if options.single:
            single(options, work, [*records[: options.single], ("avGFP", AVGFP)])
        if options.decoys:
            decoys(options, work, [*records[: options.decoys], ("avGFP", AVGFP)])
        if options.batch:
            batch(options, work, records[: options.batch])
        if options.tasks:
            batch(options, work, task_sample(options.bin, work, options.tasks))


main()
