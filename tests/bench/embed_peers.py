#!/usr/bin/env python3
"""Residues a second of tape-embed beside Hugging Face transformers on the same proteins, and of both beside this machine's matrix products.

  embed_peers.py BIN_DIR SWISSPROT.fasta [-o TABLE.tsv] [--sizes 8M,35M,650M] [--proteins 200] [--threads 2] [--repeats 3]
                 [--unirep WEIGHTS.npz] [--large-proteins 24] [--work DIR]

Proteins of at most 1,022 residues, taken at equal steps through the FASTA file; ESM-2's shapes with random weights (650M: the first
--large-proteins of them). Every repeat measures the matrix products (square, 1,024 and 2,048, the better), transformers one at a time and
in batches of 4,096 tokens sorted by length (its best counts), and tape-embed, in turn; each figure is the best of the repeats, so
that another program's burst on the machine hits nobody for good. transformers is measured in a process that has its weights and has
seen all sequences once; tape-embed as a new process, from the first batch to the last array written (manifest), and in column
`process` from its start to its end. Needs torch and transformers in the Python that runs it.
"""
import argparse, json, subprocess, sys, tempfile, time
from pathlib import Path

import torch
import transformers

SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20), "650M": (33, 1280, 20)}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BUDGETS = (4096,)


def read_proteins(path, count, longest=1022):
    """At equal steps among the records that are short enough."""
    records, name, parts = [], None, []
    for line in open(path):
        if line.startswith(">"):
            if name is not None and sum(map(len, parts)) <= longest:
                records.append((name, "".join(parts)))
            name, parts = line[1:].split()[0], []
        else:
            parts.append(line.strip())
    if name is not None and sum(map(len, parts)) <= longest:
        records.append((name, "".join(parts)))
    step = max(1, len(records) // count)
    return [(f"p{i}", records[i * step][1]) for i in range(min(count, len(records)))]


def write_fasta(path, proteins):
    path.write_text("".join(f">{name}\n{residues}\n" for name, residues in proteins))


def write_model(folder, size):
    layers, hidden, heads = SHAPES[size]
    torch.manual_seed(1)
    config = transformers.EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * hidden, position_embedding_type="rotary", token_dropout=True, emb_layer_norm_before=False,
        max_position_embeddings=1026, layer_norm_eps=1e-5)
    transformers.EsmForMaskedLM(config).save_pretrained(folder)


def best_seconds(function, runs):
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best


def matmul_rate(dtype):
    """flop/s"""
    rates = []
    for n in (1024, 2048):
        a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
        a @ b
        rates.append(2 * n ** 3 / best_seconds(lambda: a @ b, 4))
    return max(rates)


def transformer_flop(size, proteins):
    """Of the matrix products: the layers' and those of attention."""
    layers, d, _ = SHAPES[size]
    return sum(layers * ((n + 2) * 24 * d * d + 4 * (n + 2) ** 2 * d) for n in (len(r) for _, r in proteins))


ALPHABET = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>".split()


def token_rows(proteins):
    index = {letter: i for i, letter in enumerate(ALPHABET)}
    return [[0] + [index.get(letter, 3) for letter in residues] + [2] for _, residues in proteins]


class HuggingFace:
    def __init__(self, folder, dtype, proteins):
        self.model = transformers.EsmModel.from_pretrained(folder, add_pooling_layer=False, dtype=dtype).eval()
        self.rows = sorted(token_rows(proteins), key=len)

    def embed(self, rows):
        length = max(map(len, rows))
        tokens = torch.tensor([row + [1] * (length - len(row)) for row in rows])
        mask = tokens.ne(1)
        hidden = self.model(tokens, attention_mask=mask.long()).last_hidden_state
        return [hidden[i, 1:len(row) - 1].float().mean(0) for i, row in enumerate(rows)]

    def run(self, budget):
        """budget 0: one at a time"""
        batch = []
        with torch.inference_mode():
            for row in self.rows:
                if batch and (budget == 0 or (len(batch) + 1) * len(row) > budget):
                    self.embed(batch)
                    batch = []
                batch.append(row)
            self.embed(batch)


def run_ours(binary, fasta, model, precision, threads, out):
    """Seconds of embedding, and of the process."""
    command = [binary, fasta, "--model", model, "-o", out, "--precision", precision, "--threads", threads, "--quiet", "--force"]
    begin = time.perf_counter()
    if subprocess.run([str(word) for word in command]).returncode != 0:
        sys.exit("tape-embed failed")
    seconds = time.perf_counter() - begin
    details = json.loads(Path(str(out) + ".manifest.json").read_text())["details"]
    return float(details["seconds of embedding"]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--sizes", default="8M,35M")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--proteins", type=int, default=200)
    parser.add_argument("--large-proteins", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--unirep", type=Path)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = arguments.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    program = arguments.bin / "tape-embed"
    proteins = read_proteins(arguments.fasta, arguments.proteins)
    table = ["#encoder\tprecision\tprogram\tproteins\tresidues\tresidues_per_second\tprocess\tshare_of_matmul"]
    rates = {name: 0.0 for name in TYPES}

    def measure_rates():
        for name, dtype in TYPES.items():
            rates[name] = max(rates[name], matmul_rate(dtype))

    rows = []

    def tell(encoder, precision, who, taken, seconds, process, flop):
        rows.append((encoder, precision, who, taken, seconds, process, flop))
        residues = sum(len(r) for _, r in taken)
        print(f"{encoder} {precision} {who}: {residues / seconds:.0f} residues/s, {flop / seconds / rates[precision]:.2f} of matmul", flush=True)

    for size in arguments.sizes.split(","):
        taken = proteins[:arguments.large_proteins] if size == "650M" else proteins
        folder, fasta = work / f"esm2_{size}", work / f"{size}.fasta"
        if not (folder / "model.safetensors").exists():
            write_model(folder, size)
        write_fasta(fasta, taken)
        flop = transformer_flop(size, taken)
        for precision in arguments.precisions.split(","):
            peer = HuggingFace(folder, TYPES[precision], taken)
            peer.run(0)  # oneDNN compiles for its shapes
            best, process = {}, float("inf")
            for _ in range(arguments.repeats):
                measure_rates()
                for budget in (0, *BUDGETS):
                    best[budget] = min(best.get(budget, float("inf")), best_seconds(lambda: peer.run(budget), 1))
                seconds, whole = run_ours(program, fasta, folder, precision, arguments.threads, work / "out.npz")
                best["ours"], process = min(best.get("ours", float("inf")), seconds), min(process, whole)
            for budget in (0, *BUDGETS):
                name = f"transformers {transformers.__version__}, " + (f"batches of {budget} tokens" if budget else "one at a time")
                tell(f"ESM-2 {size}", precision, name, taken, best[budget], None, flop)
            tell(f"ESM-2 {size}", precision, "tape-embed", taken, best["ours"], process, flop)
            print(f"    {min(best[b] for b in (0, *BUDGETS)) / best['ours']:.2f} times transformers' best", flush=True)
            del peer
    if arguments.unirep:
        fasta = work / "unirep.fasta"
        write_fasta(fasta, proteins)
        flop = 36.1e6 * sum(len(r) + 1 for _, r in proteins)
        for precision in arguments.precisions.split(","):
            seconds, process = float("inf"), float("inf")
            for _ in range(arguments.repeats):
                measure_rates()
                once = run_ours(program, fasta, arguments.unirep, precision, arguments.threads, work / "out.npz")
                seconds, process = min(seconds, once[0]), min(process, once[1])
            tell("UniRep-1900", precision, "tape-embed", proteins, seconds, process, flop)
    if "8M" in arguments.sizes.split(","):
        fasta = work / "one.fasta"
        write_fasta(fasta, proteins[:1])
        starts = [run_ours(program, fasta, work / "esm2_8M", "fp32", arguments.threads, work / "out.npz")[1] for _ in range(10)]
        print(f"one protein, ESM-2 8M, start of the process to its end: {min(starts):.2f} s (median {sorted(starts)[5]:.2f})")
        rates_line = f"# one protein of {len(proteins[0][1])} residues, ESM-2 8M fp32, from the start of the process to its end: {min(starts):.2f} s"
    else:
        rates_line = None
    for name, rate in rates.items():
        table.append(f"matmul\t{name}\tLibTorch {torch.__version__}\t\t\t\t\t{rate / 1e9:.0f} Gflop/s")
    for encoder, precision, who, taken, seconds, process, flop in rows:
        residues = sum(len(r) for _, r in taken)
        table.append("\t".join([
            encoder, precision, who, str(len(taken)), str(residues), f"{residues / seconds:.0f}",
            f"{residues / process:.0f}" if process else "", f"{flop / seconds / rates[precision]:.2f}"]))
    if rates_line:
        table.append(rates_line)
    text = "\n".join(table) + "\n"
    if arguments.output:
        arguments.output.write_text(text)
    print(text, end="")


main()
