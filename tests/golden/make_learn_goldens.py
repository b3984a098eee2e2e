#!/usr/bin/env python3
"""Golden files of tests/learn: small random networks and what independent references in float64 make of them.

    python3 tests/golden/make_learn_goldens.py        # rewrites tests/learn/golden/

The references follow the published equations with NumPy only and share no code with learn/.
"""
import json
import struct
from pathlib import Path

import numpy as np
from math import erf

OUT = Path(__file__).resolve().parent.parent / "learn" / "golden"
ESM = ["<cls>", "<pad>", "<eos>", "<unk>"] + list("LAGVSERTIDPKQNFYMHWCXBUZO.-") + ["<null_1>", "<mask>"]
SEQUENCES = ["MKTAYIAKQR", "M", "GGXBUZO", "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY", "MKTAYIWKQRLL"]


def write_safetensors(path, tensors):
    header, blobs, position = {}, [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [position, position + len(data)]}
        blobs.append(data)
        position += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2.0)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate(x):
    """x: length x head_size; pairs (i, i + head_size / 2), base 10000."""
    length, size = x.shape
    angle = np.arange(length)[:, None] * (10000.0 ** (-np.arange(0, size, 2) / size))[None]
    cos, sin = np.cos(np.tile(angle, 2)), np.sin(np.tile(angle, 2))
    return x * cos + np.concatenate([-x[:, size // 2:], x[:, : size // 2]], 1) * sin


def transformer(config, w, tokens):
    """One unpadded sequence. Returns hidden (T x D), logits (T x 33), attentions (layers x heads x T x T), input of each layer."""
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    size = config["hidden_size"] // heads
    x = w["esm.embeddings.word_embeddings.weight"][tokens]
    if config["token_dropout"]:
        masked = np.array(tokens) == ESM.index("<mask>")
        x = np.where(masked[:, None], 0.0, x) * (1 - 0.15 * 0.8) / (1 - masked.mean())
    attentions, states = [], []
    for k in range(config["num_hidden_layers"]):
        states.append(x)
        p = f"esm.encoder.layer.{k}."
        lin = lambda v, name: v @ w[p + name + ".weight"].T + w[p + name + ".bias"]
        norm = lambda v, name: layer_norm(v, w[p + name + ".weight"], w[p + name + ".bias"], eps)
        h = norm(x, "attention.LayerNorm")
        q, key, v = (lin(h, "attention.self." + n) for n in ("query", "key", "value"))
        parts, maps = [], []
        for i in range(heads):
            s = slice(i * size, (i + 1) * size)
            a = softmax(rotate(q[:, s]) @ rotate(key[:, s]).T / np.sqrt(size))
            maps.append(a)
            parts.append(a @ v[:, s])
        attentions.append(maps)
        x = x + lin(np.concatenate(parts, 1), "attention.output.dense")
        x = x + lin(gelu(lin(norm(x, "LayerNorm"), "intermediate.dense")), "output.dense")
    hidden = layer_norm(x, w["esm.encoder.emb_layer_norm_after.weight"], w["esm.encoder.emb_layer_norm_after.bias"], eps)
    g = gelu(hidden @ w["lm_head.dense.weight"].T + w["lm_head.dense.bias"])
    g = layer_norm(g, w["lm_head.layer_norm.weight"], w["lm_head.layer_norm.bias"], eps)
    return hidden, g @ w["esm.embeddings.word_embeddings.weight"].T + w["lm_head.bias"], np.array(attentions), states


def make_transformer(name, seed, token_dropout, gamma, contacts=False):
    rng = np.random.default_rng(seed)
    d, f, layers = 16, 24, 2
    config = {"architectures": ["EsmForMaskedLM"], "model_type": "esm", "vocab_size": 33, "hidden_size": d, "num_hidden_layers": layers,
              "num_attention_heads": 2, "intermediate_size": f, "hidden_act": "gelu", "position_embedding_type": "rotary",
              "layer_norm_eps": 1e-5, "emb_layer_norm_before": False, "token_dropout": token_dropout, "pad_token_id": 1,
              "mask_token_id": 32}
    shapes = {"esm.embeddings.word_embeddings.weight": (33, d)}
    for k in range(layers):
        p = f"esm.encoder.layer.{k}."
        for n in ("query", "key", "value"):
            shapes[p + f"attention.self.{n}.weight"], shapes[p + f"attention.self.{n}.bias"] = (d, d), (d,)
        shapes |= {p + "attention.output.dense.weight": (d, d), p + "attention.output.dense.bias": (d,),
                   p + "intermediate.dense.weight": (f, d), p + "intermediate.dense.bias": (f,),
                   p + "output.dense.weight": (d, f), p + "output.dense.bias": (d,)}
        for n in ("attention.LayerNorm", "LayerNorm"):
            shapes[p + n + ".weight"], shapes[p + n + ".bias"] = (d,), (d,)
    shapes |= {"esm.encoder.emb_layer_norm_after.weight": (d,), "esm.encoder.emb_layer_norm_after.bias": (d,),
               "lm_head.dense.weight": (d, d), "lm_head.dense.bias": (d,), "lm_head.layer_norm.weight": (d,),
               "lm_head.layer_norm.bias": (d,), "lm_head.bias": (33,)}
    weights = {}
    for key, shape in shapes.items():
        centre = 1.0 if len(shape) == 1 and "orm" in key and key.endswith("weight") else 0.0
        weights[key] = (centre + rng.normal(0, 0.4, shape)).astype(np.float32)
    if contacts:
        weights["esm.contact_head.regression.weight"] = rng.normal(0, 3, (1, layers * 2)).astype(np.float32)
        weights["esm.contact_head.regression.bias"] = np.array([-0.5], np.float32)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    # transformers 5 calls the encoder's norms gamma and beta, and stores one rotary buffer under a key with a literal star.
    def stored(key):
        if gamma and ".layer." in key and "LayerNorm" in key:
            return key.replace(".weight", ".gamma").replace(".bias", ".beta")
        return key
    extra = {"esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq": np.ones(4)} if gamma else {}
    write_safetensors(folder / "model.safetensors", {stored(k): v for k, v in weights.items()} | extra)
    w64 = {k: v.astype(np.float64) for k, v in weights.items()}
    expected = {}
    for i, sequence in enumerate(SEQUENCES):
        tokens = [0] + [ESM.index(c) for c in sequence] + [2]
        if i == 3:
            tokens[5] = tokens[9] = ESM.index("<mask>")
        hidden, logits, attentions, _ = transformer(config, w64, tokens)
        expected |= {f"tokens{i}": np.array(tokens), f"hidden{i}": hidden, f"logits{i}": logits, f"attentions{i}": attentions}
    np.savez(OUT / f"{name}.npz", **expected)
    return config, w64


WILD_TYPE = SEQUENCES[4]  # MKTAYIWKQRLL
VARIANTS = ["A4G", "A4W", "K2R:L12P", "L12P:K2R", "I6V:W7Y:Q9E"]


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def contact_map(config, w, attentions):
    """fair-esm's contact head: special tokens cut off, symmetrised, average product corrected, logistic regression."""
    a = attentions.reshape(-1, *attentions.shape[2:])[:, 1:-1, 1:-1]
    a = a + a.transpose(0, 2, 1)
    a = a - a.sum(2, keepdims=True) * a.sum(1, keepdims=True) / a.sum((1, 2), keepdims=True)
    return sigmoid(np.einsum("cij,c->ij", a, w["esm.contact_head.regression.weight"][0]) + w["esm.contact_head.regression.bias"][0])


def make_questions(name, config, w):
    """What is asked of a masked model: contacts, hidden states of every layer, pseudo-perplexity, marginals of variants."""
    expected = {}
    for i, sequence in enumerate(SEQUENCES):
        tokens = [0] + [ESM.index(c) for c in sequence] + [2]
        hidden, logits, attentions, states = transformer(config, w, tokens)
        expected |= {f"contacts{i}": contact_map(config, w, attentions)} | {f"layer{k}_{i}": s[1:-1] for k, s in enumerate(states)}
        total, scored = 0.0, 0
        for j, letter in enumerate(sequence):
            if letter in "ACDEFGHIKLMNPQRSTVWY":
                masked = tokens[: j + 1] + [ESM.index("<mask>")] + tokens[j + 2:]
                total += log_softmax(transformer(config, w, masked)[1])[j + 1, tokens[j + 1]]
                scored += 1
        expected[f"likelihood{i}"] = np.array([total, scored])
    tokens = [0] + [ESM.index(c) for c in WILD_TYPE] + [2]
    unmasked = log_softmax(transformer(config, w, tokens)[1])
    masked_scores, wild_scores = [], []
    for variant in VARIANTS:
        mutations = [(m[0], int(m[1:-1]), m[-1]) for m in variant.split(":")]
        masked = list(tokens)
        for _, position, _ in mutations:
            masked[position] = ESM.index("<mask>")
        hidden = log_softmax(transformer(config, w, masked)[1])
        for scores, table in ((masked_scores, hidden), (wild_scores, unmasked)):
            scores.append(sum(table[p, ESM.index(to)] - table[p, ESM.index(frm)] for frm, p, to in mutations))
    expected |= {"masked_marginal": np.array(masked_scores), "wild_type_marginal": np.array(wild_scores)}
    np.savez(OUT / f"{name}_questions.npz", **expected)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unirep(w, layers, tokens):
    """One sequence of tokens. Returns the top layer's hidden states (T x n) and its last cell."""
    x = w["embedding"][tokens]
    for k in range(layers):
        get = lambda name: w[f"mlstm.{k}.{name}"]
        normed = lambda name, gain: get(gain) * get(name) / np.sqrt((get(name) ** 2).sum(0))
        wx, wh, wmx, wmh = normed("wx", "gx"), normed("wh", "gh"), normed("wmx", "gmx"), normed("wmh", "gmh")
        n = wmh.shape[0]
        h, c, out = np.zeros(n), np.zeros(n), []
        for row in x:
            m = (row @ wmx) * (h @ wmh)
            i, f, o, u = np.split(row @ wx + m @ wh + get("b"), 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        x = np.array(out)
    return x, c


def make_unirep(name, seed, units, layers, as_folder):
    rng = np.random.default_rng(seed)
    letters = "MRHKDESTNQCUGPAVIFYWLO"
    weights = {"embedding": rng.normal(0, 1, (26, 10)), "dense.w": rng.normal(0, 1, (units, 25)), "dense.b": rng.normal(0, 1, 25)}
    for k in range(layers):
        inputs = 10 if k == 0 else units
        for matrix, gain, shape in (("wx", "gx", (inputs, 4 * units)), ("wh", "gh", (units, 4 * units)), ("wmx", "gmx", (inputs, units)),
                                    ("wmh", "gmh", (units, units))):
            weights[f"mlstm.{k}.{matrix}"] = rng.normal(0, 1, shape)
            weights[f"mlstm.{k}.{gain}"] = rng.normal(1, 0.3, shape[1])
        weights[f"mlstm.{k}.b"] = rng.normal(0, 0.5, 4 * units)
    weights = {k: v.astype(np.float32) for k, v in weights.items()}
    if as_folder:
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        names = {"embedding": "embed_matrix", "dense.w": "fully_connected_weights", "dense.b": "fully_connected_biases"}
        for key, value in weights.items():
            if key.startswith("mlstm."):
                _, k, parameter = key.split(".")
                key = f"rnn_mlstm_stack_mlstm_stack{k}_mlstm_stack{k}_{parameter}"
            np.save(folder / (names.get(key, key) + ".npy"), value)
    else:
        np.savez(OUT / f"{name}.npz", **weights)
    w = {k: v.astype(np.float64) for k, v in weights.items()}
    expected = {}
    for i, sequence in enumerate(SEQUENCES):
        tokens = [24] + [letters.index(c) + 1 if c in letters else 23 for c in sequence]
        hidden, cell = unirep(w, layers, tokens)
        logits = hidden @ w["dense.w"] + w["dense.b"]
        targets = np.array(tokens[1:] + [25]) - 1
        log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        expected |= {f"average{i}": hidden.mean(0), f"final{i}": hidden[-1], f"cell{i}": cell, f"rows{i}": hidden[1:],
                     f"logits{i}": logits[:-1], f"nll{i}": np.array([(log_sum - logits[np.arange(len(targets)), targets]).mean()])}
    np.savez(OUT / f"{name}_expected.npz", **expected)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    make_transformer("transformer", 1, False, False)
    make_questions("esm2_dialect", *make_transformer("esm2_dialect", 2, True, True, contacts=True))
    make_unirep("unirep_single", 3, 6, 1, False)
    make_unirep("unirep_stacked", 4, 5, 3, True)
