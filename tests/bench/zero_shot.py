#!/usr/bin/env python3
"""Do untrained scores rank measured variants? zero_shot.py BIN_DIR DATABASE.tdb [-o TABLE.tsv] [--gfp 2000] [--models unirep,transformer]
       [--threads 2] [--work DIR]

Two sets of measured variants: GFP fluorescence (Sarkisyan et al. 2016; that many at random of TAPE's test split, seed 1) and stability of
single mutants of three natural domains (Rocklin et al. 2017: hYAP65, Pin1, villin, all of TAPE's test split). The wild type is the most
frequent letter at each position. GFP is aligned by the bundled alignment (data/msa), the others by three rounds over DATABASE.tdb.

Scores: `tape-msa --variants --couplings plm` gives column entropy, site-independent log-odds and Potts energies; `tape-embed --variants`
the language models' (UniRep: likelihood ratio; masked models: masked marginals). --models takes any --model of tape-embed, such as
an ESM-2 folder. Prints |set|, Spearman's rho and its 95% interval (bootstrap over variants, 2,000 samples, seed 1).
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ranks(values):
    values = np.asarray(values)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def spearman(a, b):
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def interval(score, measured, samples=2000):
    score, measured = np.array(score), np.array(measured)
    generator = np.random.default_rng(1)
    drawn = [generator.integers(0, len(score), len(score)) for _ in range(samples)]
    low, high = np.percentile([spearman(score[i], measured[i]) for i in drawn], [2.5, 97.5])
    return f"{spearman(score, measured):.3f} [{low:.3f}, {high:.3f}]"


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def exported(options, work, task, split):
    out = work / f"{task}.jsonl"
    run(options.bin / "tape-data", "export", task, split, "-o", out, "-q", "--force")
    return [json.loads(line) for line in open(out)]


def wild_type(sequences):
    return "".join(collections.Counter(column).most_common(1)[0][0] for column in zip(*sequences))


def named(wild, sequence):
    return ":".join(f"{a}{i}{b}" for i, (a, b) in enumerate(zip(wild, sequence), 1) if a != b)


def value(record, name):
    return float(np.ravel(record[name])[0])


def sets(options, work):
    records = exported(options, work, "fluorescence", "test")
    wild = wild_type([r["primary"] for r in records])
    chosen = random.Random(1).sample(records, options.gfp)
    yield "avGFP", "fluorescence", wild, {named(wild, r["primary"]): value(r, "log_fluorescence") for r in chosen}
    parents = collections.defaultdict(list)
    for record in exported(options, work, "stability", "test"):
        parents[record["id"].rpartition("_")[0]].append(record)
    for parent in ("hYAP65", "Pin1", "villin"):
        length = collections.Counter(len(r["primary"]) for r in parents[parent]).most_common(1)[0][0]
        records = [r for r in parents[parent] if len(r["primary"]) == length]
        wild = wild_type([r["primary"] for r in records])
        variants = {named(wild, r["primary"]): value(r, "stability_score") for r in records}
        yield parent, "stability", wild, {name: v for name, v in variants.items() if name and ":" not in name}


def table(path):
    lines = [line.rstrip("\n").split("\t") for line in open(path)]
    lines[0][0] = lines[0][0].lstrip("#")
    return {row[0]: dict(zip(lines[0][1:], row[1:])) for row in lines[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("tdb", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("/dev/stdout"))
    parser.add_argument("--gfp", type=int, default=2000)
    parser.add_argument("--models", default="unirep,transformer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    models = options.models.split(",")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or pathlib.Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        for protein, what, wild, measured in sets(options, work):
            query, listed = work / f"{protein}.fasta", work / f"{protein}.csv"
            query.write_text(f">{protein}\n{wild}\n")
            listed.write_text("mutant,measured\n" + "".join(f"{name},{v}\n" for name, v in measured.items()))
            source = ["--db", options.tdb, "--rounds", "3"]
            if protein == "avGFP":
                (work / "ready").mkdir(exist_ok=True)
                shutil.copy(ROOT / "data/msa/GFP_AEQVI_proteingym.a2m", work / "ready/avGFP.a2m")
                source = ["--msa-dir", work / "ready"]
            common = ["--threads", options.threads, "-q", "--force"]
            run(options.bin / "tape-msa", query, *source, "--variants", listed, "--couplings", "plm", "-o", work / "msa", *common)
            scores = table(work / "msa" / f"{protein}.variants.tsv")
            columns = {name: [scores[v][name] for v in measured] for name in ("entropy", "log_odds", "potts") if name in next(iter(scores.values()))}
            for model in models:
                run(options.bin / "tape-embed", query, "--model", model, "--variants", listed, "-o", work / "scores.tsv", *common)
                scores = table(work / "scores.tsv")
                columns[pathlib.Path(model).name] = [scores[v]["score"] for v in measured]
            for name, column in columns.items():
                if name == "potts" and "nan" in column:
                    continue
                rows.append([protein, what, len(wild), len(measured), name, interval([float(x) for x in column], list(measured.values()))])
                print(*rows[-1], sep="\t", flush=True)
    with open(options.output, "w") as out:
        print("protein", "measured", "residues", "variants", "score", "Spearman's rho", sep="\t", file=out)
        for row in rows:
            print(*row, sep="\t", file=out)


main()
