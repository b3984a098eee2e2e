#!/usr/bin/env python3
"""Writes features_golden.json: coevolution maps and Potts models of two small alignments, straight from the published formulas.

The C++ code never forms the covariance of shallow alignments; here it is formed, inverted and gauged as the papers write it.
Run from the repository root: python3 tests/golden/make_feature_goldens.py
"""
import json
import pathlib

import numpy as np
import scipy.optimize

LETTERS = "ACDEFGHIKLMNPQRSTVWY-"
Q = 21


def random_alignment(rng, depth, length):
    """Rows copied from earlier ones with changes, coupled between column i and length - 1 - i; some gaps."""
    rows = [rng.integers(0, 20, length)]
    for _ in range(depth - 1):
        row = rows[rng.integers(len(rows))].copy()
        changed = rng.random(length) < rng.uniform(0, 0.6)
        row[changed] = rng.integers(0, 20, changed.sum())
        coupled = rng.random(length // 2) < 0.5
        row[: length // 2][coupled] = row[::-1][: length // 2][coupled]
        row[rng.random(length) < 0.08] = 20
        rows.append(row)
    rows[0] = np.where(rows[0] == 20, 0, rows[0])
    return np.array(rows)


def identity_weights(msa, threshold=0.8):
    weights = []
    for a in msa:
        similar = 0
        for b in msa:
            both = (a != 20) & (b != 20)
            similar += both.sum() > 0 and (a == b)[both].sum() >= threshold * both.sum() - 1e-9
        weights.append(1 / max(similar, 1))
    return np.array(weights)


def apc(x):
    """Means over off-diagonal entries."""
    n = len(x)
    x = x * (1 - np.eye(n))
    row = x.sum(1) / (n - 1)
    corrected = x - np.outer(row, row) / (x.sum() / (n * (n - 1)))
    return corrected * (1 - np.eye(n))


def frequencies(msa, weights):
    one_hot = np.eye(Q)[msa]  # N x L x 21
    w = weights / weights.sum()
    single = np.einsum("n,nia->ia", w, one_hot)
    pair = np.einsum("n,nia,njb->iajb", w, one_hot, one_hot)
    return single, pair


def mutual_information(msa, weights):
    single, pair = frequencies(msa, weights)
    length = msa.shape[1]
    result = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            if i == j:
                continue
            p, independent = pair[i, :, j, :], np.outer(single[i], single[j])
            known = p > 0
            result[i, j] = (p[known] * np.log(p[known] / independent[known])).sum()
    return result


def mean_field(msa, weights, pseudocount=0.5):
    """Morcos et al. 2011, equations as in the supplement; zero-sum gauge over 21 states, norm over 20."""
    single, pair = frequencies(msa, weights)
    length = msa.shape[1]
    single = pseudocount / Q + (1 - pseudocount) * single
    pair = pseudocount / Q**2 + (1 - pseudocount) * pair
    covariance = np.zeros((length, 20, length, 20))
    for i in range(length):
        for j in range(length):
            joint = np.diag(single[i]) if i == j else pair[i, :, j, :]
            covariance[i, :, j, :] = (joint - np.outer(single[i], single[j]))[:20, :20]
    couplings = -np.linalg.inv(covariance.reshape(20 * length, 20 * length)).reshape(length, 20, length, 20)
    result = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            if i == j:
                continue
            e = np.zeros((Q, Q))
            e[:20, :20] = couplings[i, :, j, :]
            e = e - e.mean(0, keepdims=True) - e.mean(1, keepdims=True) + e.mean()
            result[i, j] = np.linalg.norm(e[:20, :20])
    return result


def shrunk_inverse(msa, weights, penalty=4.5):
    """fast_dca of trRosetta."""
    depth, length = msa.shape
    x = np.eye(Q)[msa].reshape(depth, length * Q)
    points = weights.sum() - np.sqrt(weights.mean())
    mean = (x * weights[:, None]).sum(0) / points
    x = (x - mean) * np.sqrt(weights[:, None])
    covariance = x.T @ x / points
    inverse = np.linalg.inv(covariance + np.eye(length * Q) * penalty / np.sqrt(weights.sum()))
    blocks = inverse.reshape(length, Q, length, Q)[:, :20, :, :20]
    return np.sqrt((blocks**2).sum((1, 3))) * (1 - np.eye(length))


def potts(msa, weights, field_penalty=10, coupling_penalty=0.2):
    """Asymmetric pseudolikelihood in float64 by SciPy's L-BFGS-B; zero-sum gauge, both estimates of a pair averaged."""
    depth, length = msa.shape
    x = np.eye(Q)[msa]
    penalty = coupling_penalty * (length - 1)
    fields, couplings = np.zeros((length, Q)), np.zeros((length, Q, length, Q))
    for i in range(length):
        others = [j for j in range(length) if j != i]
        design = x[:, others].reshape(depth, -1)
        counts = (weights[:, None] * x[:, i]).sum(0)
        centre = np.log((counts + 1) / (weights.sum() + Q))
        centre -= centre.mean()

        def objective(parameters):
            h, w = parameters[:Q], parameters[Q:].reshape(-1, Q)
            logits = h + design @ w
            log_p = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
            value = -(weights * log_p[np.arange(depth), msa[:, i]]).sum()
            value += field_penalty * ((h - centre) ** 2).sum() + penalty / 2 * (w**2).sum()
            residual = weights[:, None] * (np.exp(log_p) - x[:, i])
            gradient_h = residual.sum(0) + 2 * field_penalty * (h - centre)
            gradient_w = design.T @ residual + penalty * w
            return value, np.concatenate([gradient_h, gradient_w.ravel()])

        start = np.concatenate([centre, np.zeros(design.shape[1] * Q)])
        found = scipy.optimize.minimize(
            objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "maxfun": 20000, "ftol": 0, "gtol": 1e-9}
        )
        assert np.abs(found.jac).max() < 1e-6, found.message
        h, w = found.x[:Q], found.x[Q:].reshape(length - 1, Q, Q)  # (other, b, a)
        own, other, mean = w.mean(1, keepdims=True), w.mean(2, keepdims=True), w.mean((1, 2), keepdims=True)
        h = h + (own - mean).sum((0, 1))
        fields[i] = h - h.mean()
        couplings[i][:, others] = (w - own - other + mean).transpose(2, 0, 1) / 2
    couplings = couplings + couplings.transpose(2, 3, 0, 1)
    norms = np.sqrt((couplings[:, :20, :, :20] ** 2).sum((1, 3)))
    log_weights = [
        sum(fields[i, s[i]] for i in range(length))
        + sum(couplings[i, s[i], j, s[j]] for i in range(length) for j in range(i + 1, length))
        for s in msa[:5]
    ]
    return fields, norms, np.array(log_weights)


def main():
    rng = np.random.default_rng(2019)
    cases = []
    for depth, length in ((40, 12), (150, 6)):  # fewer rows than 20 L, and more
        msa = random_alignment(rng, depth, length)
        weights = identity_weights(msa)
        fields, norms, log_weights = potts(msa, weights)
        cases.append(
            {
                "rows": ["".join(LETTERS[c] for c in row) for row in msa],
                "weights": weights.tolist(),
                "mutual_information": mutual_information(msa, weights).ravel().tolist(),
                "mutual_information_apc": apc(mutual_information(msa, weights)).ravel().tolist(),
                "direct_coupling": mean_field(msa, weights).ravel().tolist(),
                "potts_fields": fields.ravel().tolist(),
                "potts_norms": norms.ravel().tolist(),
                "potts_log_weights": log_weights.tolist(),
                "inverse_covariance": shrunk_inverse(msa, weights).ravel().tolist(),
            }
        )
    target = pathlib.Path(__file__).with_name("features_golden.json")
    text = json.dumps(cases, separators=(",", ":"))
    target.write_text(json.dumps(json.loads(text, parse_float=lambda s: float(f"{float(s):.8g}")), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
