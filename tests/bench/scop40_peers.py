#!/usr/bin/env python3
"""Remote homology search over SCOP domains: ours and whichever of phmmer, jackhmmer and psiblast are installed, in one run.

  scop40_peers.py BIN_DIR DOMAINS.fasta[.gz|.xz] [--labels FILE] [--step 8] [--offset 0 3 5] [--programs ours-1,phmmer,...]
  scop40_peers.py score HITS.tsv DOMAINS.fasta [--labels FILE] [--step 8] [--offset 0]

DOMAINS is the set that is searched and that queries are drawn from, at most 40% identical to each other. ASTRAL's is at
https://scop.berkeley.edu/astral/ (SCOPe 2.01, "genetic domain sequence subsets, less than 40% identity"), whose headers name the
family as the second word (">d1dlwa_ a.1.1.1 ..."). --labels gives a file "domain<TAB>family" instead, such as scop_lookup.tsv of the
benchmarks of MMseqs2 and Foldseek.

Queries: domains that have partners in the family, in the superfamily outside the family, and in the fold outside the superfamily, sorted
by name, every STEP-th from OFFSET. Hits are ranked by E-value, then bits, then name; the query itself is left out. Per query:
  family       share of the other members of its family that rank before the first domain of another fold
  superfamily  the same of the members of its superfamily that are not of its family
  ROC5         mean, over the first five domains of another fold, of the share of all other members of its superfamily that rank before
               each (all that were found count where fewer than five came)
Domains of the same fold and another superfamily count neither way. The table has means over queries (no hits count 0) and the CPU
seconds, user and system, of the program and all its children, one thread each, making of databases included.
"""
import argparse
import collections
import gzip
import lzma
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

Hit = collections.namedtuple("Hit", "evalue bits target")


def read_domains(path):
    """id -> (family named in the header or None, residues)"""
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(pathlib.Path(path).suffix, open)
    domains, name = {}, None
    with opener(path, "rt") as handle:
        for line in handle:
            if line.startswith(">"):
                words = line[1:].split()
                name = words[0]
                domains[name] = (words[1] if len(words) > 1 else None, [])
            else:
                domains[name][1].append(line.strip().upper())
    return {name: (family, "".join(parts)) for name, (family, parts) in domains.items()}


def read_labels(path, domains):
    if path:
        with open(path) as handle:
            return dict(line.split()[:2] for line in handle if line.strip())
    unlabelled = [name for name, (family, _) in domains.items() if not family or family.count(".") != 3]
    if unlabelled:
        sys.exit(f"scop40_peers.py: domain '{unlabelled[0]}' has no family like a.1.1.1 in its header; give --labels FILE")
    return {name: family for name, (family, _) in domains.items()}


class Classification:
    """Families of domains, and how many domains there are at each level: 1 class, 2 fold, 3 superfamily, 4 family."""

    def __init__(self, labels):
        self.levels = {name: tuple(".".join(family.split(".")[:depth]) for depth in range(5)) for name, family in labels.items()}
        self.size = collections.Counter(level for levels in self.levels.values() for level in levels[2:])

    def queries(self, domains, step, offset):
        def has_partners(name):
            fold, superfamily, family = (self.size[level] for level in self.levels[name][2:])
            return 1 < family < superfamily < fold

        return sorted(name for name in domains if name in self.levels and has_partners(name))[offset::step]

    def score(self, query, hits):
        """family, superfamily, ROC5 of one query"""
        _, _, fold, superfamily, family = self.levels[query]
        ranked, found = [], {query}
        for hit in sorted(hits, key=lambda hit: (hit.evalue, -hit.bits, hit.target)):
            if hit.target not in found and hit.target in self.levels:
                found.add(hit.target)
                ranked.append(self.levels[hit.target])
        related, before = [0, 0], []  # in the family, in the superfamily outside it; their sums at each false hit
        for levels in ranked:
            if levels[2] != fold:
                before.append(tuple(related))
                if len(before) == 5:
                    break
            elif levels[3] == superfamily:
                related[levels[4] != family] += 1
        before += [tuple(related)] * (5 - len(before))
        others = self.size[superfamily] - 1
        return (
            before[0][0] / (self.size[family] - 1),
            before[0][1] / (self.size[superfamily] - self.size[family]),
            sum(sum(at) for at in before) / (5 * others),
        )

    def mean_scores(self, queries, hits):
        rows = [self.score(query, hits[query]) for query in queries]
        return [sum(column) / len(rows) for column in zip(*rows)]


def table_hits(path, query, target, evalue, bits):
    """Hits of a table of white-space separated columns, by query."""
    hits = collections.defaultdict(list)
    with open(path) as handle:
        for line in handle:
            if line[0] != "#" and line.strip():
                words = line.split()
                hits[words[query]].append(Hit(float(words[evalue]), float(words[bits]), words[target]))
    return hits


def psiblast_hits(path):
    """The last iteration's hits of each query, from the table with comments."""
    hits, query = collections.defaultdict(list), None
    with open(path) as handle:
        for line in handle:
            if line.startswith("# Query:"):
                query = line.split()[2]
            elif line.startswith("# Fields:"):
                hits[query] = []
            elif line[0] != "#" and "\t" in line:
                words = line.split("\t")
                hits[words[0]].append(Hit(float(words[2]), float(words[3]), words[1]))
    return hits


def programs(bin_dir):
    """name -> (executable, function of (queries, database, folder) -> (commands, reader of hits))"""

    def ours(rounds):
        def plan(queries, database, folder):
            return [
                [f"{bin_dir}/tape-db", "build", database, "-o", f"{folder}/d.tdb", "--quiet"],
                [f"{bin_dir}/tape-msa", queries, "--db", f"{folder}/d.tdb", "--rounds", str(rounds), "--evalue", "10000", "--threads", "1"]
                + ["--hits", f"{folder}/hits.tsv", "--quiet"],
            ], lambda: table_hits(f"{folder}/hits.tsv", 0, 1, 2, 3)

        return plan

    def hmmer(program, *options):
        def plan(queries, database, folder):
            command = [program, *options, "--cpu", "0", "--noali", "-E", "10000", "-o", "/dev/null", "--tblout", f"{folder}/hits.txt"]
            return [command + [queries, database]], lambda: table_hits(f"{folder}/hits.txt", 2, 0, 4, 5)

        return plan

    def psiblast(queries, database, folder):
        return [
            ["makeblastdb", "-in", database, "-dbtype", "prot", "-out", f"{folder}/d"],
            ["psiblast", "-query", queries, "-db", f"{folder}/d", "-num_iterations", "3", "-evalue", "10000", "-max_target_seqs", "20000"]
            + ["-num_threads", "1", "-outfmt", "7 qaccver saccver evalue bitscore", "-out", f"{folder}/hits.tsv"],
        ], lambda: psiblast_hits(f"{folder}/hits.tsv")

    return {
        "ours-1": (f"{bin_dir}/tape-msa", ours(1)),
        "phmmer": ("phmmer", hmmer("phmmer")),
        "ours-3": (f"{bin_dir}/tape-msa", ours(3)),
        "jackhmmer-3": ("jackhmmer", hmmer("jackhmmer", "-N", "3")),
        "psiblast-3": ("psiblast", psiblast),
    }


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(commands):
    before = cpu_seconds()
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"scop40_peers.py: {' '.join(command)}\n{done.stdout[-2000:]}")
    return cpu_seconds() - before


def write_fasta(path, names, domains):
    with open(path, "w") as out:
        for name in names:
            out.write(f">{name}\n{domains[name][1]}\n")


def compare(options):
    domains = read_domains(options.domains)
    scop = Classification(read_labels(options.labels, domains))
    known = programs(os.path.abspath(options.target))
    wanted = options.programs.split(",") if options.programs else [name for name, (file, _) in known.items() if shutil.which(file)]
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"scop40_peers.py: unknown program '{unknown[0]}'; known are {', '.join(known)}")
    print("program\toffset\tqueries\tfamily\tsuperfamily\tROC5\tCPU_seconds", flush=True)
    with tempfile.TemporaryDirectory() as work:
        write_fasta(f"{work}/database.fasta", domains, domains)
        for offset in options.offset:
            queries = scop.queries(domains, options.step, offset)
            write_fasta(f"{work}/queries.fasta", queries, domains)
            for name in wanted:
                with tempfile.TemporaryDirectory(dir=work) as folder:
                    commands, hits = known[name][1](f"{work}/queries.fasta", f"{work}/database.fasta", folder)
                    seconds = run(commands)
                    scores = "\t".join(f"{score:.4f}" for score in scop.mean_scores(queries, hits()))
                print(f"{name}\t{offset}\t{len(queries)}\t{scores}\t{seconds:.1f}", flush=True)


def score(options):
    domains = read_domains(options.domains)
    scop = Classification(read_labels(options.labels, domains))
    hits = table_hits(options.hits, 0, 1, 2, 3)
    print("offset\tqueries\tfamily\tsuperfamily\tROC5")
    for offset in options.offset:
        queries = scop.queries(domains, options.step, offset)
        print(f"{offset}\t{len(queries)}\t" + "\t".join(f"{value:.4f}" for value in scop.mean_scores(queries, hits)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="folder of tape-db and tape-msa, or the word score")
    if "score" in sys.argv[1:2]:
        parser.add_argument("hits", help="query, target, E-value, bits")
    parser.add_argument("domains")
    parser.add_argument("--labels")
    parser.add_argument("--step", type=int, default=8)
    parser.add_argument("--offset", type=int, nargs="+", default=[0])
    parser.add_argument("--programs", help="comma list; all that are installed by default")
    options = parser.parse_args()
    score(options) if options.target == "score" else compare(options)


if __name__ == "__main__":
    main()
