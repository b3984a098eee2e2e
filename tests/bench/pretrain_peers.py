#!/usr/bin/env python3
"""Residues a second of tape-pretrain beside Hugging Face transformers with PyTorch, training ESM-2's 8M shape in bf16 on the same batches.

  pretrain_peers.py BIN_DIR TRAINING_BATCHES SWISSPROT.fasta [-o TABLE.tsv] [--windows 256,1022] [--tokens 8192] [--steps 8]
                    [--threads 2] [--repeats 3] [--proteins 20000] [--work DIR]

TRAINING_BATCHES is the program build/release/tests/training_batches (tests/bench/training_batches.cpp), which writes the very batches
and masked places that tape-pretrain trains on: proteins taken at equal steps through the FASTA file, cropped to a window, about --tokens
tokens a step. A step is forward, loss, backward, clipping and AdamW. transformers trains EsmForMaskedLM under autocast with PyTorch's
fused AdamW; how it does best is tried out first on one of the batches (attention eager or SDPA; a batch whole, in halves or in quarters,
each padded to its own longest sequence) after a step to warm up. Ours and theirs then train in turn, --repeats times, each on all the
steps after one step to warm up; medians of the repeats, of wall time and of the CPU time of all threads. A busy machine slows down both;
CPU time counts less of that. The loss of the last step is printed for both: they learn the same thing from other weights.
"""
import argparse, os, statistics, subprocess, sys, tempfile, time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads use no CPU time, here and in tape-pretrain

import torch
import transformers

SEED, HELD_OUT = 5, 20000


def read_proteins(path, count):
    """At equal steps through the file."""
    records = []
    for line in open(path):
        if line.startswith(">"):
            records.append([])
        else:
            records[-1].append(line.strip())
    step = max(1, len(records) // count)
    return ["".join(records[i]) for i in range(0, len(records), step)][:count]


def parse_batches(text):
    """Per step: (tokens, places, letters) of each sequence."""
    batches = []
    for line in text.splitlines():
        batch = []
        for sequence in line.split(";"):
            words = sequence.split()
            answers = [word.split(":") for word in words if ":" in word]
            batch.append(([int(word) for word in words if ":" not in word], [int(a) for a, _ in answers], [int(b) for _, b in answers]))
        batches.append(batch)
    return batches


def padded(batch):
    longest = max(len(tokens) for tokens, _, _ in batch)
    tokens = torch.full((len(batch), longest), 1)
    labels = torch.full((len(batch), longest), -100)
    for row, (sequence, places, letters) in enumerate(batch):
        tokens[row, :len(sequence)] = torch.tensor(sequence)
        labels[row, places] = torch.tensor(letters)
    return tokens, labels


class HuggingFace:
    def __init__(self, attention, parts):
        self.parts = parts
        torch.manual_seed(1)
        config = transformers.EsmConfig(
            vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=320, num_hidden_layers=6, num_attention_heads=20,
            intermediate_size=1280, position_embedding_type="rotary", token_dropout=False, emb_layer_norm_before=False,
            max_position_embeddings=1026, layer_norm_eps=1e-5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            attn_implementation=attention)
        self.model = transformers.EsmForMaskedLM(config).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def step(self, batch):
        asked = sum(len(places) for _, places, _ in batch)
        rows = sorted(batch, key=lambda sequence: len(sequence[0]))
        loss = 0.0
        for part in range(self.parts):
            tokens, labels = padded(rows[part * len(rows) // self.parts:(part + 1) * len(rows) // self.parts])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self.model(tokens, attention_mask=tokens.ne(1).long()).logits
            share = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum") / asked
            share.backward()
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def seconds(self, batches):
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            loss = self.step(batch)
        return time.perf_counter() - wall, time.process_time() - cpu, loss


def residues(batches):
    return sum(token > 3 for batch in batches for tokens, _, _ in batch for token in tokens)


def run_ours(arguments, fasta, window, steps, work):
    """Wall and CPU seconds of the steps behind the first, from two runs that share their beginning: the log's residues a second, and the
    difference in CPU time between `steps` + 1 steps and one."""
    cpu = []
    for length in (1, steps + 1):
        run = work / "run"
        subprocess.run(["rm", "-rf", str(run)], check=True)
        before = os.times()
        command = [arguments.bin / "tape-pretrain", "--corpus", fasta, "-o", run, "--size", "8M", "--objective", "mlm", "--window", window,
                   "--tokens", arguments.tokens, "--steps", length, "--log-every", 1, "--checkpoint-every", 10 ** 6, "--learning-rate", 1e-4,
                   "--warmup", 1, "--precision", "bf16", "--threads", arguments.threads, "--seed", SEED, "--held-out", HELD_OUT, "--quiet"]
        if subprocess.run([str(word) for word in command]).returncode != 0:
            sys.exit("tape-pretrain failed")
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    lines = [line.split("\t") for line in (run / "log.tsv").read_text().splitlines()]
    column = {name: i for i, name in enumerate(lines[0])}
    wall, before = 0.0, 0
    for line in lines[1:]:
        seen = int(line[column["residues"]])
        if int(line[column["step"]]) > 1:
            wall += (seen - before) / float(line[column["residues_per_second"]])
        before = seen
    return wall, cpu[1] - cpu[0], float(lines[-1][column["loss"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    parser.add_argument("training_batches", type=Path)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--windows", default="256,1022")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--proteins", type=int, default=20000)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = arguments.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    fasta = work / "corpus.fasta"
    fasta.write_text("".join(f">p{i}\n{r}\n" for i, r in enumerate(read_proteins(arguments.fasta, arguments.proteins))))
    table = [f"# {arguments.tokens} tokens a step, {arguments.repeats} repeats, {arguments.threads} threads; torch {torch.__version__}",
             "window\tprogram\tsteps\tresidues\tresidues_per_second\tresidues_per_cpu_second\tlast_loss"]
    for window in (int(word) for word in arguments.windows.split(",")):
        text = subprocess.run([str(word) for word in (arguments.training_batches, fasta, window, arguments.tokens, arguments.steps + 1, SEED,
                                                      HELD_OUT)], check=True, capture_output=True, text=True).stdout
        batches = parse_batches(text)
        tried = {}
        for attention in ("eager", "sdpa"):
            for parts in (1, 2, 4):
                peer = HuggingFace(attention, parts)
                peer.seconds(batches[:1])
                tried[attention, parts] = peer.seconds(batches[:1])[1]
                print(f"window {window}: transformers, {attention}, {parts} parts: {residues(batches[:1]) / tried[attention, parts]:.0f} "
                      "residues a CPU second", flush=True)
        (attention, parts) = min(tried, key=tried.get)
        results = {"transformers": [], "tape-pretrain": []}
        for _ in range(arguments.repeats):
            peer = HuggingFace(attention, parts)
            peer.seconds(batches[:1])
            results["transformers"].append(peer.seconds(batches[1:]))
            results["tape-pretrain"].append(run_ours(arguments, fasta, window, arguments.steps, work))
        count, rates = residues(batches[1:]), {}
        for name, runs in results.items():
            wall, cpu, loss = (statistics.median(values) for values in zip(*runs))
            rates[name] = (count / wall, count / cpu)
            label = f"transformers {transformers.__version__}, {attention} attention, batches in {parts}" if name == "transformers" else name
            table.append(f"{window}\t{label}\t{arguments.steps}\t{count}\t{count / wall:.0f}\t{count / cpu:.0f}\t{loss:.3f}")
            print(table[-1], flush=True)
        ratios = [ours / theirs for ours, theirs in zip(rates["tape-pretrain"], rates["transformers"])]
        table.append(f"# window {window}: tape-pretrain is {ratios[0]:.2f} times as fast by wall time, {ratios[1]:.2f} times by CPU time")
        print(table[-1], flush=True)
        if arguments.output:
            arguments.output.write_text("\n".join(table) + "\n")


main()
