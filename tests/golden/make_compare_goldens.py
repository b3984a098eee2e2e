#!/usr/bin/env python3
"""Writes compare_goldens.json: what SciPy, NumPy and scikit-learn say of the inputs of tests/compare.

Run from the repository root: python3 tests/golden/make_compare_goldens.py
"""
import json
import pathlib

import numpy as np
import scipy
import scipy.stats as stats
import sklearn
from sklearn.calibration import calibration_curve
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

random = np.random.default_rng(7)


def correlations():
    cases = []
    for n, levels in ((12, 4), (60, 10), (200, 1000000)):
        x = random.integers(0, levels, n) / 8
        y = np.round(0.5 * x + random.normal(0, levels / 20, n), 3)
        cases.append({
            "x": x.tolist(), "y": y.tolist(), "ranks_x": stats.rankdata(x).tolist(),
            "spearman": float(stats.spearmanr(x, y).statistic), "pearson": float(stats.pearsonr(x, y).statistic),
        })
    return cases


def sign_flip():
    """Exact paired permutation test of the mean, and a larger one by sampling."""
    cases = []
    for n, shift in ((9, 0.4), (12, 0.8), (12, 0.0), (300, 0.08)):
        a = np.round(random.normal(shift, 1, n), 3)
        b = np.round(random.normal(0, 1, n), 3)
        exact = n < 20
        test = stats.permutation_test((a, b), lambda p, q, axis: (p - q).sum(axis=axis), permutation_type="samples",
                                      n_resamples=np.inf if exact else 99999, vectorized=True, rng=np.random.default_rng(1))
        cases.append({"differences": (a - b).tolist(), "p": float(test.pvalue), "exact": exact})
    return cases


def bootstraps():
    x = np.round(random.normal(0, 1, 80), 2)
    y = np.round(0.6 * x + random.normal(0, 0.8, 80), 2)
    correct = random.binomial(20, 0.7, 80).astype(float)
    total = np.full(80, 20.0) + random.integers(0, 5, 80)
    options = dict(paired=True, vectorized=False, n_resamples=20000, method="percentile")
    spearman = stats.bootstrap((x, y), lambda p, q: stats.spearmanr(p, q).statistic, rng=np.random.default_rng(2), **options)
    pearson = stats.bootstrap((x, y), lambda p, q: stats.pearsonr(p, q).statistic, rng=np.random.default_rng(3), **options)
    ratio = stats.bootstrap((correct, total), lambda p, q: p.sum() / q.sum(), rng=np.random.default_rng(4), **options)
    bounds = lambda r: [float(r.confidence_interval.low), float(r.confidence_interval.high)]
    return {"x": x.tolist(), "y": y.tolist(), "correct": correct.tolist(), "total": total.tolist(),
            "spearman": bounds(spearman), "pearson": bounds(pearson), "ratio": bounds(ratio)}


def tsne():
    centres = random.normal(0, 6, (3, 10))
    points = np.vstack([centre + random.normal(0, 1, (60, 10)) for centre in centres]).round(3).astype(np.float32)
    fit = TSNE(method="exact", perplexity=20, init="pca", learning_rate="auto", max_iter=1000).fit(points)
    return {"n": 180, "d": 10, "perplexity": 20, "points": points.astype(float).round(3).ravel().tolist(), "kl_divergence": float(fit.kl_divergence_)}


def tsne_of_wide_points():
    """400 x 80, five overlapping groups with noise from a small generator, as written out again in tsne_test.cpp; 50 components first."""
    state, noise = 1, np.empty(400 * 80)
    for k in range(noise.size):
        state = (1664525 * state + 1013904223) % 2**32
        noise[k] = (state >> 8) / 2**24
    i, j = np.meshgrid(np.arange(400), np.arange(80), indexing="ij")
    points = (noise.reshape(400, 80) + 0.5 * (i % 5 == j % 5)).astype(np.float32)
    points = PCA(50, svd_solver="full").fit_transform(points.astype(float)).astype(np.float32)
    fit = TSNE(method="exact", perplexity=30, init="pca", learning_rate="auto", max_iter=1000).fit(points)
    return {"n": 400, "d": 80, "perplexity": 30, "kl_divergence": float(fit.kl_divergence_)}


def principal_components():
    """Wave i, j: sin of a product plus a slope, as written out again in tsne_test.cpp."""
    i, j = np.meshgrid(np.arange(60), np.arange(400), indexing="ij")
    x = (np.sin(0.37 * i * (1 + j % 7)) / (1 + j % 5) + 0.01 * i * (j % 3)).astype(np.float32).astype(float)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    return {"n": 60, "d": 400, "squared_singular_values": (values[:5] ** 2).tolist()}


def calibration():
    """Bins of scikit-learn's reliability curve; expected calibration error of Guo et al. from them. Draws of its own."""
    own = np.random.default_rng(11)
    probability = np.round(own.beta(3, 2, 400), 4) + 0.00003  # never on the edge of a bin
    right = own.random(400) < probability ** 1.5
    accuracy, confidence = calibration_curve(right, probability, n_bins=10, strategy="uniform")
    counts = np.histogram(probability, bins=10, range=(0, 1))[0]
    filled = counts[counts > 0]
    return {"probability": probability.tolist(), "right": right.astype(int).tolist(), "counts": counts.tolist(),
            "accuracy": accuracy.tolist(), "confidence": confidence.tolist(),
            "error": float((np.abs(accuracy - confidence) * filled).sum() / 400)}


def effects():
    """Standardised paired difference and its detectable size at 80% power, from the normal quantiles."""
    own = np.random.default_rng(12)
    a, b = own.binomial(1, .7, 120).astype(float), own.binomial(1, .55, 120).astype(float)
    d = a - b
    factor = stats.norm.ppf(.975) + stats.norm.ppf(.8)
    return {"a": a.tolist(), "b": b.tolist(), "d": float(d.mean() / d.std(ddof=1)),
            "detectable": float(factor * d.std(ddof=1) / np.sqrt(120))}


out = pathlib.Path(__file__).parent / "compare_goldens.json"
out.write_text(json.dumps({
    "made_by": f"scipy {scipy.__version__}, numpy {np.__version__}, scikit-learn {sklearn.__version__}",
    "correlations": correlations(), "sign_flip": sign_flip(), "bootstrap": bootstraps(), "tsne": tsne(), "tsne_of_wide_points": tsne_of_wide_points(),
    "principal_components": principal_components(), "calibration": calibration(), "effects": effects(),
}, separators=(",", ":")) + "\n")
print(out, out.stat().st_size, "bytes")
