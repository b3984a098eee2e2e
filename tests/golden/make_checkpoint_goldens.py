#!/usr/bin/env python3
"""Golden files of tests/learn for foreign checkpoints: what PyTorch, fair-esm, Hugging Face, TAPE's PyTorch port and Bepler &
Berger's program write, and what they make of a few proteins.

    python3 tests/golden/make_checkpoint_goldens.py [PART...]   # needs torch, numpy, transformers, fair-esm, tape_proteins
    python3 tests/golden/make_checkpoint_goldens.py bepler --bepler CLONE   # of tbepler/protein-sequence-embedding-iclr2019

Networks are small and random; references are the original programs, in float64 where they allow it. (tape_proteins 0.5 wants
packages that only its data sets need: it is imported without them.)
"""
import argparse
import importlib.util
import json
import shutil
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

OUT = Path(__file__).resolve().parent.parent / "learn" / "golden" / "checkpoints"
# Special letters, several lengths; lower case and gaps never get past FASTA, so they are asked of the tokenizers alone.
SEQUENCES = ["MKTAYIAKQR", "M", "GGXBUZOJ", "ACDEFGHIKLMNPQRSTVWYACDEFGHIK"]
# For networks without a limit; tests/learn/encoder_agreement.cpp makes the same.
LONG = "".join("ACDEFGHIKLMNPQRSTVWYXBUZO"[(i * i + 3 * i) % 25] for i in range(300))


def save_zip(value, path):
    torch.save(value, path)


def save_legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def torch_containers():
    """Every type and layout that is read, in both forms. Values are multiples of 1/8, exact in each type."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
    value = OrderedDict(
        float32=base, float16=base.half(), bfloat16=base.bfloat16(), float64=base.double(), int64=torch.arange(5), int32=torch.arange(5, dtype=torch.int32),
        uint8=torch.arange(5, dtype=torch.uint8), bool=torch.tensor([True, False, True]), transposed=base.t(), column=base[:, 2], tail=base[2:],
        scalar=torch.tensor(2.5), empty=torch.zeros(0, 3), parameter=torch.nn.Parameter(torch.ones(2)),
        nested={"step": 7, "rate": 0.5, "name": "adam", "on": True, "none": None, "list": [1, 2]}, args=argparse.Namespace(layers=3, inner={"x": torch.ones(1)}))
    save_zip(value, OUT / "containers.zip.pt")
    save_legacy(value, OUT / "containers.legacy.pt")


class Program(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(2, 1)


def torch_programs():
    """Whole modules, as Bepler & Berger's program saves its models: refused, since to read one is to run its code."""
    save_zip(Program(), OUT / "program.zip.sav")
    torch.serialization.get_source_lines_and_file = lambda _: ([], 0, "program.py")  # neither PyTorch's source nor this machine's paths
    save_legacy(Program(), OUT / "program.legacy.sav")


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_((1.0 if norm else 0.0) + 0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def stored(tensor):
    return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()


def padded(rows, padding):
    width = max(map(len, rows))
    return torch.tensor([row + [padding] * (width - len(row)) for row in rows])


def fair_esm():
    import esm
    model = randomise(esm.ESM2(num_layers=2, embed_dim=8, attention_heads=2), 11)
    state = model.state_dict()
    regression = OrderedDict((k, v.clone()) for k, v in state.items() if k.startswith("contact_head."))
    prefix = lambda k: ("encoder." if k.startswith("lm_head.") else "encoder.sentence_encoder.") + k
    tensors = OrderedDict((prefix(k), v.clone()) for k, v in state.items() if not k.startswith("contact_head."))
    config = argparse.Namespace(encoder_layers=2, encoder_embed_dim=8, encoder_attention_heads=2, token_dropout=True, arch="esm2")
    save_zip({"cfg": {"model": config}, "model": tensors}, OUT / "esm2_tiny.pt")
    save_zip({"model": regression}, OUT / "esm2_tiny-contact-regression.pt")
    a = model.alphabet
    tokens = padded([[a.cls_idx] + [a.get_idx(c) for c in s] + [a.eos_idx] for s in SEQUENCES], a.padding_idx)  # J: <unk>
    expected = {}
    with torch.no_grad():
        model = model.double()
        result = model(tokens, repr_layers=[0, 1, 2], need_head_weights=True)
        for i, s in enumerate(SEQUENCES):
            alone = model(tokens[i:i + 1, :len(s) + 2], repr_layers=[0, 1, 2], return_contacts=True)
            length = slice(1, len(s) + 1)
            # The batch and the single protein agree in the original too (its softmax is in float32).
            assert (result["logits"][i, length] - alone["logits"][0, length]).abs().max() < 1e-5
            expected |= {f"tokens{i}": tokens[i, :len(s) + 2], f"logits{i}": alone["logits"][0, length], f"contacts{i}": alone["contacts"][0],
                         f"attentions{i}": alone["attentions"][0][:, :, length, length]}
            expected |= {f"layer{k}_{i}": alone["representations"][k][0, length] for k in range(3)}
    np.savez_compressed(OUT / "esm2_tiny.npz", **{k: stored(v) for k, v in expected.items()})


def hugging_face_bin():
    """The network of ../esm2_dialect again, as pytorch_model.bin in two shards, one of each form."""
    from safetensors.torch import load_file
    source = OUT.parent / "esm2_dialect"
    folder = OUT / "esm2_bin"
    folder.mkdir(exist_ok=True)
    shutil.copy(source / "config.json", folder)
    tensors = load_file(source / "model.safetensors")
    names = sorted(tensors)
    shards = {"pytorch_model-00001-of-00002.bin": names[: len(names) // 2], "pytorch_model-00002-of-00002.bin": names[len(names) // 2:]}
    for save, (file, part) in zip((save_zip, save_legacy), shards.items()):
        save(OrderedDict((n, tensors[n]) for n in part), folder / file)
    index = {"metadata": {}, "weight_map": {n: file for file, part in shards.items() for n in part}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")


PROTBERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list("LAGVESIKRDTPNQFYMHCWXUBZO")


def bert_reference(name, rows, padding, run):
    """rows: token ids with special tokens; run(tokens, mask) -> hidden states of all layers, attentions, logits, pooled vectors or None."""
    tokens = padded(rows, padding)
    mask = torch.tensor([[1.0] * len(r) + [0.0] * (tokens.shape[1] - len(r)) for r in rows])
    expected = {}
    with torch.no_grad():
        hidden, attentions, logits, pooled = run(tokens, mask)
    for i, row in enumerate(rows):
        length = slice(1, len(row) - 1)
        expected |= {f"tokens{i}": tokens[i, : len(row)], f"logits{i}": logits[i, length]}
        expected |= {f"layer{k}_{i}": h[i, length] for k, h in enumerate(hidden)}
        expected[f"attentions{i}"] = torch.stack([a[i][:, length, length] for a in attentions])
        if pooled is not None:
            expected[f"pooler{i}"] = pooled[i]
    np.savez_compressed(OUT / f"{name}.npz", **{k: stored(v) for k, v in expected.items()})


def protbert():
    import re
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=32,
                        layer_norm_eps=1e-12, type_vocab_size=2, attn_implementation="eager")
    model = randomise(BertForMaskedLM(config), 12)
    folder = OUT / "protbert"
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("\n".join(PROTBERT) + "\n")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    # As its authors say: letters apart, U, Z, O and B as X.
    rows = [tokenizer(" ".join(re.sub("[UZOB]", "X", s)))["input_ids"] for s in SEQUENCES]
    model = model.double()

    def run(tokens, mask):
        output = model(input_ids=tokens, attention_mask=mask, output_hidden_states=True, output_attentions=True)
        return output.hidden_states, output.attentions, output.logits, None
    bert_reference("protbert", rows, 0, run)


def tape_models():
    """tape_proteins' models without its data sets' dependencies."""
    if "tape" in sys.modules:
        return
    package = types.ModuleType("tape")
    package.__path__ = list(importlib.util.find_spec("tape").submodule_search_locations)
    sys.modules["tape"] = package
    registry = types.ModuleType("tape.registry")
    registry.registry = types.SimpleNamespace(register_task_model=lambda *_: lambda model: model)
    sys.modules["tape.registry"] = registry
    for name in ("boto3", "botocore", "botocore.config", "botocore.exceptions", "requests"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].Config = sys.modules[name].ClientError = object


def tape_bert():
    tape_models()
    from tape.models.modeling_bert import ProteinBertConfig, ProteinBertForMaskedLM
    from tape.tokenizers import TAPETokenizer
    config = ProteinBertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=32,
                               output_hidden_states=True, output_attentions=True)
    model = randomise(ProteinBertForMaskedLM(config), 13)
    folder = OUT / "tape_bert"
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    save_legacy(model.state_dict(), folder / "pytorch_model.bin")  # as in TAPE's days
    tokenizer = TAPETokenizer("iupac")
    rows = [tokenizer.encode(s.replace("J", "X")).tolist() for s in SEQUENCES]  # TAPE itself stops at J

    def run(tokens, mask):
        sequence, pooled, hidden, attentions = model.bert(tokens, input_mask=mask)
        return hidden, attentions, model.mlm(sequence)[0], pooled
    bert_reference("tape_bert", rows, 0, run)


def alone_reference(name, sequences, run):
    """run(letters) -> token ids, hidden states of layers 0.. over the residues, logits over the residues, pooled vector or None, each
    of the protein alone: what a batch must not change."""
    expected = {}
    with torch.no_grad():
        for i, letters in enumerate(sequences):
            tokens, hidden, logits, pooled = run(letters)
            expected |= {f"tokens{i}": torch.tensor(tokens), f"logits{i}": logits}
            expected |= {f"layer{k}_{i}": h for k, h in enumerate(hidden)}
            if pooled is not None:
                expected[f"pooler{i}"] = pooled
    np.savez_compressed(OUT / f"{name}.npz", **{k: stored(v) for k, v in expected.items()})


def tape_tokens(letters):
    from tape.tokenizers import TAPETokenizer
    return TAPETokenizer("iupac").encode(letters.replace("J", "X")).tolist()  # TAPE itself stops at J


def tape_lstm():
    tape_models()
    from tape.models.modeling_lstm import ProteinLSTMConfig, ProteinLSTMForLM
    model = randomise(ProteinLSTMForLM(ProteinLSTMConfig(input_size=5, hidden_size=8, num_hidden_layers=3, output_hidden_states=True)), 14)
    folder = OUT / "tape_lstm"
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    save_legacy(model.state_dict(), folder / "pytorch_model.bin")
    model = model.double()

    def run(letters):
        row = tape_tokens(letters)
        inputs = torch.tensor([row])
        _, pooled, states = model.lstm(inputs)
        logits, _ = model(inputs)[:2]
        # The port keeps the embedding, the forward stack, and the reverse stack in its own order.
        ahead, back = states[1:4], [torch.flip(s, [1]) for s in states[4:7]]
        hidden = [states[0]] + [torch.cat(pair, 2) for pair in zip(ahead, back)]
        return row, [h[0, 1:-1] for h in hidden], logits[0, 1:-1], pooled[0]
    alone_reference("tape_lstm", SEQUENCES + [LONG], run)


def tape_resnet():
    tape_models()
    from tape.models.modeling_resnet import ProteinResNetConfig, ProteinResNetForMaskedLM
    model = randomise(ProteinResNetForMaskedLM(ProteinResNetConfig(hidden_size=8, num_hidden_layers=2, output_hidden_states=True)), 15)
    folder = OUT / "tape_resnet"
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    save_legacy(model.state_dict(), folder / "pytorch_model.bin")
    model = model.double()

    def run(letters):
        row = tape_tokens(letters)
        inputs = torch.tensor([row])
        last, _, states = model.resnet(inputs)
        logits = model(inputs)[0]
        hidden = [h.transpose(1, 2)[0, 1:-1] for h in states]
        # The pooling layer with its softmax over the residues; the port's runs over an axis of size 1.
        pooler, residues = model.resnet.pooler, last[0, 1:-1]
        shares = torch.softmax(pooler.attention_weights(residues), 0)
        return row, hidden, logits[0, 1:-1], torch.tanh(pooler.dense((shares * residues).sum(0)))
    alone_reference("tape_resnet", SEQUENCES + [LONG], run)


def bepler(clone):
    sys.path.insert(0, str(clone))
    from src.alphabets import Uniprot21
    from src.models.embedding import StackedRNN
    from src.models.multitask import SCOPCM
    from src.models.sequence import BiLM
    alphabet = Uniprot21()
    lm = BiLM(len(alphabet) + 1, len(alphabet), 6, 5, 2, mask_idx=len(alphabet), tied=True)
    model = randomise(SCOPCM(StackedRNN(len(alphabet), 7, 4, 9, nlayers=3, lm=lm)), 16)
    save_zip(model.state_dict(), OUT / "bepler.pt")  # with its heads
    network = model.double().embedding

    def run(letters):
        tokens = torch.tensor(alphabet.encode(letters.encode()).astype(int))[None]
        lm_tokens = torch.nn.functional.pad(tokens + 1, (1, 1))  # as BiLM.encode flanks them
        h = network.embed(tokens)
        hidden = [h]
        layers = network.rnn.num_layers
        for k in range(layers):  # one bidirectional layer at a time, of the same weights
            one = torch.nn.LSTM(h.shape[2], network.rnn.hidden_size, batch_first=True, bidirectional=True).double()
            one.load_state_dict({n: network.rnn.state_dict()[n.replace("_l0", f"_l{k}")] for n in one.state_dict()})
            h = one(h)[0]
            hidden.append(h)
        hidden.append(network(tokens))
        assert torch.allclose(hidden[-1], network.proj(h), atol=1e-12)
        # BiLM.forward gives log-probabilities; its sums before the softmax, from its own parts.
        ahead, back = network.embed.lm.transform(network.embed.lm.embed(lm_tokens), last_only=True)
        logits = network.embed.lm.linear(ahead[:, :-1]) + network.embed.lm.linear(back[:, 1:])
        assert torch.allclose(torch.log_softmax(logits, 2), network.embed.lm(lm_tokens)[:, 1:-1], atol=1e-12)
        return lm_tokens[0].tolist(), [x[0] for x in hidden], logits[0], None
    alone_reference("bepler", SEQUENCES + [LONG], run)


PARTS = {f.__name__: f for f in (torch_containers, torch_programs, fair_esm, hugging_face_bin, protbert, tape_bert, tape_lstm, tape_resnet, bepler)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--bepler", type=Path, metavar="CLONE")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for part in options.parts or [p for p in PARTS if p != "bepler" or options.bepler]:
        if part == "bepler":
            if options.bepler is None:
                parser.error("bepler needs --bepler CLONE")
            bepler(options.bepler)
        else:
            PARTS[part]()
