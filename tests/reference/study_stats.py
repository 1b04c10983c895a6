"""Goldens of src/study/stats.ts by NumPy and SciPy. Writes tests/fixtures/study/stats.json and wilson.json.

    python tests/reference/study_stats.py        # needs numpy, scipy
"""
import json, pathlib
import numpy as np
from scipy import stats


def mulberry32(seed):
    a = seed & 0xFFFFFFFF
    def imul(x, y):
        return (x * y) & 0xFFFFFFFF
    def nxt():
        nonlocal a
        a = (a + 0x6D2B79F5) & 0xFFFFFFFF
        t = a
        t = imul(t ^ (t >> 15), t | 1)
        t ^= (t + imul(t ^ (t >> 7), t | 61)) & 0xFFFFFFFF
        return ((t ^ (t >> 14)) & 0xFFFFFFFF) / 4294967296
    return nxt


def same_bootstrap(v, statistic, seed, resamples):
    r = mulberry32(seed)
    found = [statistic(v[[int(r() * len(v)) for _ in v]]) for _ in range(resamples)]
    return [float(np.quantile(found, q)) for q in (0.025, 0.975)]


rng = np.random.default_rng(7)
out = []
for n, kind in [(5, "plain"), (12, "plain"), (60, "plain"), (60, "ties"), (40, "scores"), (8, "line")]:
    x = rng.normal(size=n)
    y = 0.6 * x + rng.normal(size=n)
    if kind == "ties":
        x, y = np.round(x), np.round(y)
    if kind == "scores":
        x, y = rng.choice([0, 1, 2 / 3, 0.5], size=n), rng.beta(2, 1, size=n)
    if kind == "line":
        y = 3 - 2 * x
    lr = stats.linregress(x, y)
    scipy_ci = stats.bootstrap((x,), np.mean, n_resamples=20000, method="percentile", random_state=1).confidence_interval
    out.append({
        "kind": kind, "x": x.tolist(), "y": y.tolist(), "mean": float(np.mean(x)), "sd": float(np.std(x)),
        "quantiles": [float(q) for q in np.quantile(x, [0, 0.025, 0.3, 0.5, 0.975, 1])],
        "pearson": float(stats.pearsonr(x, y)[0]), "spearman": float(stats.spearmanr(x, y)[0]), "ranks": stats.rankdata(x).tolist(),
        "slope": float(lr.slope), "intercept": float(lr.intercept), "slopeError": float(lr.stderr),
        "bootstrap": same_bootstrap(x, np.mean, 3, 200), "scipyBootstrap": [float(scipy_ci.low), float(scipy_ci.high)],
    })
path = pathlib.Path(__file__).parents[1] / "fixtures/study/stats.json"
path.write_text(json.dumps(out) + "\n")

shares = []
for hits, n in [(0, 1), (1, 1), (0, 3), (3, 3), (4, 4), (1, 7), (7, 12), (99, 100), (640, 660)]:
    ci = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    shares.append({"hits": hits, "n": n, "low": float(ci.low), "high": float(ci.high)})
(path.parent / "wilson.json").write_text(json.dumps(shares) + "\n")
