#!/usr/bin/env python3
"""Writes head_goldens.json: ridge and multinomial logistic regression by scikit-learn on small problems.

The inputs are multiples of 1/1024, so that single precision and the JSON text hold them exactly.
    python3 make_head_goldens.py head_goldens.json
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler


def grid(values):
    return np.round(np.asarray(values) * 1024) / 1024


def ridge_case(rng, rows, columns, alphas):
    mixing = rng.normal(size=(columns, columns))
    x = grid(rng.normal(size=(rows, columns)) @ mixing + 3 * rng.normal(size=columns))
    x[:, columns // 2] = 0.25  # a constant column must be neutral
    y = grid(x @ rng.normal(size=columns) + rng.normal(size=rows) + 7)
    new = grid(rng.normal(size=(5, columns)) @ mixing)
    new[:, columns // 2] = 0.25
    scaler = StandardScaler().fit(x)
    predictions = [Ridge(alpha=a, solver="cholesky").fit(scaler.transform(x), y).predict(scaler.transform(new)).tolist() for a in alphas]
    return {"x": x.tolist(), "y": y.tolist(), "new": new.tolist(), "lambdas": alphas, "predictions": predictions}


def softmax_case(rng, rows, columns, classes, lambdas):
    centres = 1.5 * rng.normal(size=(classes, columns))
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=rows - classes)])
    x = grid(centres[labels] + rng.normal(size=(rows, columns)) + 2)
    new = grid(rng.normal(size=(6, columns)) + 2)
    scaler = StandardScaler().fit(x)
    z = scaler.transform(x)
    objectives, probabilities = [], []
    for value in lambdas:
        model = LogisticRegression(C=1 / (rows * value), tol=1e-10, max_iter=100000).fit(z, labels)
        p = model.predict_proba(z)[np.arange(rows), labels]
        objectives.append(float(-np.log(p).mean() + value / 2 * (model.coef_ ** 2).sum()))
        probabilities.append(model.predict_proba(scaler.transform(new)).tolist())
    return {"x": x.tolist(), "labels": labels.tolist(), "classes": classes, "new": new.tolist(), "lambdas": lambdas,
            "objectives": objectives, "probabilities": probabilities}


def main():
    rng = np.random.default_rng(20190619)
    goldens = {
        "made_by": f"make_head_goldens.py, scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "ridge_tall": ridge_case(rng, 40, 6, [0.001, 1.0, 100.0]),
        "ridge_wide": ridge_case(rng, 12, 20, [0.1, 10.0]),
        "softmax": softmax_case(rng, 60, 5, 4, [0.1, 0.001]),
    }
    with open(sys.argv[1], "w") as out:
        json.dump(goldens, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
