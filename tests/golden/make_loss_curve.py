#!/usr/bin/env python3
"""tests/learn/golden/loss_curve.json: the loss of 200 training steps in PyTorch, from our initial weights and batches.

    cmake --build build/release --target export_loss_curve
    python3 tests/golden/make_loss_curve.py build/release/tests/export_loss_curve

Needs torch only. Network, losses, clipping and schedule are written here from the published equations and share no code with learn/; each
sequence runs by itself, without padding.
"""
import json
import math
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F

OUT = Path(__file__).resolve().parent.parent / "learn" / "golden" / "loss_curve.json"
LAYERS, HEADS, STEPS, PEAK, LAST, DECAY, CLIP = 2, 4, 200, 0.002, 0.02, 0.1, 1.0
ESM = ["<cls>", "<pad>", "<eos>", "<unk>"] + list("LAGVSERTIDPKQNFYMHWCXBUZO.-") + ["<null_1>", "<mask>"]
IUPAC = ["<pad>", "<mask>", "<cls>", "<sep>", "<unk>"] + list("ABCDEFGHIKLMNOPQRSTUVWXYZ")
IUPAC_OF_ESM = {i: IUPAC.index({"<eos>": "<sep>"}.get(name, name)) for i, name in enumerate(ESM) if {"<eos>": "<sep>"}.get(name, name) in IUPAC}
AMINO_ACIDS = [ESM.index(letter) for letter in "ACDEFGHIKLMNPQRSTVWY"]


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    return {
        name: torch.frombuffer(bytearray(body[slice(*entry["data_offsets"])]), dtype=torch.float32).reshape(entry["shape"]).clone()
        for name, entry in header.items()
        if name != "__metadata__"
    }


def rotate(x):
    """heads x length x size; pairs (i, i + size / 2), base 10000."""
    length, size = x.shape[-2:]
    angle = torch.arange(length)[:, None] * (10000.0 ** (-torch.arange(0, size, 2) / size))[None]
    cos, sin = torch.cos(angle).repeat(1, 2), torch.sin(angle).repeat(1, 2)
    return x * cos + torch.cat([-x[..., size // 2 :], x[..., : size // 2]], -1) * sin


def hidden_states(w, tokens, causal):
    def linear(x, name):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-5)

    def heads(x):
        return x.view(len(tokens), HEADS, -1).transpose(0, 1)

    x = w["esm.embeddings.word_embeddings.weight"][tokens]
    for k in range(LAYERS):
        p = f"esm.encoder.layer.{k}."
        h = norm(x, p + "attention.LayerNorm")
        q, key, value = (heads(linear(h, p + "attention.self." + n)) for n in ("query", "key", "value"))
        scores = rotate(q) @ rotate(key).transpose(1, 2) / math.sqrt(q.shape[-1])
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
        mixed = (scores.softmax(-1) @ value).transpose(0, 1).reshape(len(tokens), -1)
        x = x + linear(mixed, p + "attention.output.dense")
        x = x + linear(F.gelu(linear(norm(x, p + "LayerNorm"), p + "intermediate.dense")), p + "output.dense")
    return norm(x, "esm.encoder.emb_layer_norm_after")


def log_probabilities(w, hidden):
    x = F.gelu(F.linear(hidden, w["lm_head.dense.weight"], w["lm_head.dense.bias"]))
    x = F.layer_norm(x, x.shape[-1:], w["lm_head.layer_norm.weight"], w["lm_head.layer_norm.bias"], 1e-5)
    return F.linear(x, w["esm.embeddings.word_embeddings.weight"], w["lm_head.bias"]).log_softmax(-1)


def loss_of(w, batch, causal):
    letters, columns = torch.zeros(()), torch.zeros(())
    for example in batch:
        values = log_probabilities(w, hidden_states(w, torch.tensor(example["tokens"]), causal))
        if example["letters"]:
            letters = letters - values[example["letter_places"], example["letters"]].sum()
        if example["column_places"]:
            expected = torch.tensor(example["frequencies"]).view(-1, 20)
            columns = columns - (expected * values[example["column_places"]][:, AMINO_ACIDS]).sum()
    asked = sum(len(e["letters"]) for e in batch), sum(len(e["column_places"]) for e in batch)
    return sum(part / count for part, count in zip((letters, columns), asked) if count)


def recurrent_states(w, tokens, stack):
    """length x units: the state after each token."""
    x = w["lstm.embed_matrix.weight"][tokens]
    for k in range(LAYERS):
        in_w, in_b, own_w, own_b = (w[f"lstm.encoder.{stack}.{k}.lstm.{n}_l0"] for n in ("weight_ih", "bias_ih", "weight_hh", "bias_hh"))
        h, c, states = torch.zeros(own_w.shape[1]), torch.zeros(own_w.shape[1]), []
        for row in F.linear(x, in_w, in_b):
            i, f, g, o = (row + F.linear(h, own_w, own_b)).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        x = torch.stack(states)
    return x


def loss_both_ways(w, batch):
    """Every residue from the forward stack's state before it, and from the reverse stack's behind it."""
    total = torch.zeros(())
    for example in batch:
        tokens = torch.tensor([IUPAC_OF_ESM[t] for t in example["tokens"]])
        nothing = torch.zeros(1, w["feedforward.weight"].shape[1])
        before = torch.cat([nothing, recurrent_states(w, tokens, "forward_lstm")[:-1]])
        behind = torch.cat([recurrent_states(w, tokens.flip(0), "reverse_lstm").flip(0)[1:], nothing])
        for states in (before, behind):
            values = F.linear(states, w["feedforward.weight"], w["feedforward.bias"]).log_softmax(-1)
            total = total - values[example["letter_places"], [IUPAC_OF_ESM[t] for t in example["letters"]]].sum() / 2
    return total / sum(len(e["letters"]) for e in batch)


def rate(step):
    warmup = max(1, STEPS // 50)
    if step <= warmup:
        return PEAK * step / warmup
    return PEAK * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (STEPS - warmup))))


def curve(exporter, objective):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([exporter, folder, objective], check=True)
        w = read_safetensors(Path(folder) / "initial" / "model.safetensors")
        batches = [json.loads(line) for line in (Path(folder) / "batches.jsonl").read_text().splitlines()]
    for value in w.values():
        value.requires_grad_()
    matrices, vectors = ([v for v in w.values() if (v.dim() > 1) == wanted] for wanted in (True, False))
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98), eps=1e-8
    )
    losses = []
    for step, batch in enumerate(batches, 1):
        optimizer.zero_grad()
        loss = loss_both_ways(w, batch) if objective == "both-ways" else loss_of(w, batch, objective == "next")
        loss.backward()
        length = math.sqrt(sum(float(v.grad.double().square().sum()) for v in w.values()))
        if length > CLIP:
            for v in w.values():
                v.grad.mul_(CLIP / length)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        losses.append(round(loss.item(), 6))
    return losses


torch.set_num_threads(1)
curves = {objective: curve(sys.argv[1], objective) for objective in ("mlm", "next", "mlm+profile", "both-ways")}
for objective, losses in curves.items():
    print(objective, losses[0], losses[-1])
OUT.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in curves.items()) + "\n}\n")
