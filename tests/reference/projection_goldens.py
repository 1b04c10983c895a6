"""Goldens for src/probe/{projection,similarity,phases}.ts from numpy: tests/fixtures/probe/projection.json, similarity.json.

Run: python tests/reference/projection_goldens.py
States look like a residual stream: norms grow with depth, one direction is common to all, so that unit-length scaling and centring matter.
"""
import base64
import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parents[1] / "fixtures" / "probe"
OUT.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(5)


def b64(a):
    return base64.b64encode(np.ascontiguousarray(a, dtype="<f4").tobytes()).decode()


def paths(n, layers, dim):
    """[n, layers, dim] float32: random walks that share a drift."""
    drift = rng.normal(size=(layers, dim)).cumsum(0)
    own = rng.normal(size=(n, layers, dim)).cumsum(1) * 0.7
    common = 3 * rng.normal(size=dim)
    return (drift + own + common).astype(np.float32)


def unit(x):
    x = x.astype(np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def signed(v):
    return v * np.sign(v[np.arange(len(v)), np.abs(v).argmax(1)])[:, None]


def pca(u):
    mean = u.mean(0)
    c = u - mean
    _, s, vt = np.linalg.svd(c, full_matrices=False)
    return mean, signed(vt[:2]), (s**2 / (s**2).sum())[:2]


def joint(x):
    u = unit(x).reshape(-1, x.shape[-1])
    mean, axes, explained = pca(u)
    return {"points": ((u - mean) @ axes.T).reshape(*x.shape[:2], 2).tolist(), "explained": explained.tolist(), "axes": axes.tolist(), "mean": mean.tolist()}


def per_layer(x):
    u = unit(x)
    out, explained, prev = [], [], None
    for layer in range(x.shape[1]):
        mean, axes, _ = pca(u[:, layer])
        c = u[:, layer] - mean
        p = c @ axes.T
        if prev is not None:
            a, _, bt = np.linalg.svd(p.T @ prev)
            p = p @ (a @ bt)
        out.append(p)
        explained.append(((p**2).sum(0) / (c**2).sum()).tolist())
        prev = p
    return {"points": np.stack(out, 1).tolist(), "explained": explained}


def plane(x, q, a):
    """Plane through the origin and the centroids of paths q and a; the origin of the picture is q's centroid, axis 1 runs to a's."""
    u = unit(x)
    cq, ca = u[q].mean(0), u[a].mean(0)
    e1 = (ca - cq) / np.linalg.norm(ca - cq)
    mid = (ca + cq) / 2
    e2 = mid - (mid @ e1) * e1
    e2 /= np.linalg.norm(e2)
    axes = np.stack([e1, e2])
    flat = u.reshape(-1, u.shape[-1])
    c = flat - flat.mean(0)
    explained = ((c @ axes.T) ** 2).sum(0) / (c**2).sum()
    return {"points": ((u - cq) @ axes.T).tolist(), "explained": explained.tolist()}


cases = []
for n, layers, dim in [(4, 7, 16), (6, 13, 48), (3, 5, 128)]:
    x = paths(n, layers, dim)
    cases.append({"n": n, "layers": layers, "dim": dim, "states": b64(x), "joint": joint(x), "perLayer": per_layer(x), "plane": plane(x, 0, 1)})
for c in cases:  # axes and mean of the big ones would only be bulk
    if c["dim"] > 16:
        del c["joint"]["axes"], c["joint"]["mean"]
(OUT / "projection.json").write_text(json.dumps(cases) + "\n")

N, L, D = 10, 5, 24
a = paths(N, L, D)
b = (a * 0.6 + paths(N, L, D) * 0.8).astype(np.float32)
a64, b64_ = a.astype(np.float64), b.astype(np.float64)
cos = (unit(a) * unit(b)).sum(-1)
pooled = np.concatenate([a64, b64_]).mean(0)
own = lambda z: z - z.mean(0)
csim = lambda p, q: (unit(p) * unit(q)).sum(-1)
sims = np.einsum("ild,jld->lij", unit(a), unit(b))
(OUT / "similarity.json").write_text(
    json.dumps(
        {
            "n": N, "layers": L, "dim": D, "a": b64(a), "b": b64(b),
            "cosine": cos.tolist(),
            "pooled": csim(a64 - pooled, b64_ - pooled).tolist(),
            "language": csim(own(a64), own(b64_)).tolist(),
            "forward": (sims.argmax(2) == np.arange(N)).mean(1).tolist(),
            "backward": (sims.argmax(1) == np.arange(N)).mean(1).tolist(),
            "norms": np.linalg.norm(a64[0], axis=-1).tolist(),
        }
    )
    + "\n"
)
