#!/usr/bin/env python3
"""Held-out loss of tape-pretrain by network size and tokens, and the exponents of a power law through it.

  pretrain_scaling.py BIN_DIR CORPUS [-o TABLE.tsv] [--plot PLOT.svg] [--shapes 32x2,48x3,64x4,96x4] [--tokens 0.25,0.5,1,2]
                      [--objective mlm] [--clusters TSV] [--profiles DIR] [--step-tokens 2048] [--rate 0.003] [--work DIR]

--shapes are HIDDENxLAYERS (heads of 16), --tokens millions. Every pair is a run of its own with its own schedule, so that each loss is the one at
the end of a finished run; runs that are there are kept. Fitted by least squares on log loss (Hoffmann et al. 2022, eq. 2):
loss = E + A / N^a + B / D^b, N the parameters without embedding, D the tokens seen. Needs NumPy and SciPy.
"""
import argparse, subprocess, tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import minimize


def last_validation(run):
    lines = [line.rstrip("\n").split("\t") for line in open(run / "log.tsv")]
    header, rows = lines[0], [row for row in lines[1:] if row[lines[0].index("valid_loss")]]
    return float(rows[-1][header.index("valid_loss")]), int(rows[-1][header.index("residues")])


def train(arguments, work, hidden, layers, tokens):
    run = work / f"{hidden}x{layers}-{tokens:g}M"
    steps = max(1, round(tokens * 1e6 / arguments.step_tokens))
    command = [f"{arguments.bin}/tape-pretrain", "--corpus", arguments.corpus, "--objective", arguments.objective, "--hidden", hidden,
               "--layers", layers, "--heads", hidden // 16, "--steps", steps, "--checkpoint-every", steps, "--log-every", max(1, steps // 20),
               "--tokens", arguments.step_tokens, "--learning-rate", arguments.rate, "--seed", 1, "-q", "-o", run]
    if arguments.clusters:
        command += ["--clusters", arguments.clusters]
    if arguments.profiles:
        command += ["--profiles", arguments.profiles]
    subprocess.run([str(word) for word in command], check=True)
    return last_validation(run)


def fitted(rows):
    sizes, tokens, losses = (np.array(column, float) for column in zip(*rows))

    def prediction(p):
        return np.exp(p[0]) + np.exp(p[1] - p[2] * np.log(sizes)) + np.exp(p[3] - p[4] * np.log(tokens))

    def cost(p):
        return float(np.square(np.log(prediction(p)) - np.log(losses)).sum())

    starts = [(np.log(e), a, x, b, y) for e in (1.5, 2.0, 2.4) for a in (0, 3) for x in (0.2, 0.5) for b in (0, 5) for y in (0.2, 0.5)]
    best = min((minimize(cost, start, method="Nelder-Mead", options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-8, "fatol": 1e-14})
                for start in starts), key=lambda result: result.fun)
    e, a, alpha, b, beta = best.x
    spread = float(np.sqrt(np.square(prediction(best.x) - losses).mean()))
    return {"E": np.exp(e), "A": np.exp(a), "alpha": alpha, "B": np.exp(b), "beta": beta}, spread, prediction(best.x)


def plot(rows, fit, path):
    """Loss against tokens, a line a size, the fit dashed."""
    width, height, left, top, right, bottom = 560, 360, 60, 20, 120, 50
    tokens = sorted({row[1] for row in rows})
    losses = [row[2] for row in rows]
    low, high = min(losses) - 0.01, max(losses) + 0.01
    x = lambda t: left + (np.log(t) - np.log(tokens[0])) / (np.log(tokens[-1]) - np.log(tokens[0])) * (width - left - right)
    y = lambda v: top + (high - v) / (high - low) * (height - top - bottom)
    colours = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for t in tokens:
        out.append(f'<text x="{x(t):.1f}" y="{height - bottom + 18}" text-anchor="middle">{t / 1e6:.2g} M</text>')
    for v in np.linspace(low, high, 5):
        out.append(f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>'
                   f'<line x1="{left}" x2="{width - right}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">tokens seen</text>'
               f'<text x="14" y="{height / 2}" text-anchor="middle" transform="rotate(-90 14 {height / 2})">held-out loss, nats</text>')
    for k, size in enumerate(sorted({row[0] for row in rows})):
        own = [(row, predicted) for row, predicted in zip(rows, fit) if row[0] == size]
        points = lambda values: " ".join(f"{x(row[1]):.1f},{y(v):.1f}" for (row, _), v in zip(own, values))
        colour = colours[k % len(colours)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-dasharray="4 3" points="{points([p for _, p in own])}"/>')
        out += [f'<circle cx="{x(row[1]):.1f}" cy="{y(row[2]):.1f}" r="4" fill="{colour}"/>' for row, _ in own]
        out.append(f'<text x="{width - right + 10}" y="{y(own[-1][0][2]) + 4:.1f}" fill="{colour}">{size / 1e6:.2g} M parameters</text>')
    Path(path).write_text("\n".join(out) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin")
    parser.add_argument("corpus")
    parser.add_argument("-o", "--output", default="-")
    parser.add_argument("--plot")
    parser.add_argument("--shapes", default="32x2,48x3,64x4,96x4")
    parser.add_argument("--tokens", default="0.25,0.5,1,2")
    parser.add_argument("--objective", default="mlm")
    parser.add_argument("--clusters")
    parser.add_argument("--profiles")
    parser.add_argument("--step-tokens", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--work")
    arguments = parser.parse_args()
    work = Path(arguments.work or tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    rows, names = [], []
    for shape in arguments.shapes.split(","):
        hidden, layers = map(int, shape.split("x"))
        size = layers * (4 * hidden * hidden + 2 * hidden * 4 * hidden)
        for tokens in map(float, arguments.tokens.split(",")):
            loss, seen = train(arguments, work, hidden, layers, tokens)
            rows.append((size, seen, loss))
            names.append(shape)
            print(shape, f"{seen / 1e6:.2f} M residues, held-out loss {loss:.4f}", flush=True)
    law, spread, fit = fitted(rows)
    text = "shape\tparameters\tresidues\theld_out_loss\tfit\n"
    text += "".join(f"{name}\t{n}\t{d}\t{v:.4f}\t{p:.4f}\n" for name, (n, d, v), p in zip(names, rows, fit))
    text += "# loss = E + A / N^a + B / D^b: " + ", ".join(f"{k} {v:.4g}" for k, v in law.items()) + f"; root mean square error {spread:.4f} nats\n"
    text += f"# objective {arguments.objective}, {arguments.step_tokens} tokens a step, peak learning rate {arguments.rate}\n"
    print(text, end="") if arguments.output == "-" else Path(arguments.output).write_text(text)
    if arguments.plot:
        plot(rows, fit, arguments.plot)


main()
