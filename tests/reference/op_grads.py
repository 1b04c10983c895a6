"""Gradients of single operators: tests/fixtures/diff/ops.json, one small ONNX model per case with what PyTorch says.

    python tests/reference/op_grads.py

Each case: a graph, its inputs, cotangents of its outputs, gradients under "gradient" and, where it differs, "attnlrp" and "cp-lrp".
The PyTorch function of every case is checked twice before it may judge: its values against native ONNX Runtime running the very graph,
and its gradients against central finite differences in float64 (torch.autograd.gradcheck).
"""

import base64
import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "diff" / "ops.json"
MS = "com.microsoft"
rng = np.random.default_rng(7)
cases = []


def normal(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def positive(*shape):
    return (0.5 + rng.random(shape) * 2).astype(np.float32)


def case(name, nodes, inputs, f, constants=None, outputs=("y",), lrp=None, cp=None, opset=21, native=True):
    """`inputs`: name → array, all differentiated. `f(*inputs)` → outputs in torch; `lrp`, `cp` the same with modified gradients.
    `native`: False where ONNX Runtime has no such operator on the CPU: the function is then checked by finite differences alone."""
    constants = constants or {}
    nodes = nodes if isinstance(nodes, list) else [nodes]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)], ir_version=10)
    got = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(list(outputs), inputs) if native else []

    def run(g):
        xs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in inputs.values()]
        ys = g(*xs)
        return xs, ys if isinstance(ys, tuple) else (ys,)

    xs, ys = run(f)
    for want, y in zip(got, ys):
        assert np.allclose(want, y.detach().numpy(), rtol=2e-4, atol=2e-6 * np.abs(want).max()), (name, np.abs(want - y.detach().numpy()).max())
    assert torch.autograd.gradcheck(f, [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in inputs.values()], rtol=1e-5, atol=1e-7), name
    seeds = [normal(*y.shape) for y in ys]
    grads = {}
    for rule, g in (("gradient", f), ("attnlrp", lrp), ("cp-lrp", cp)):
        if g is None:
            continue
        xs, ys = run(g)
        gs = torch.autograd.grad(ys, xs, [torch.tensor(s, dtype=torch.float64) for s in seeds], allow_unused=True)
        grads[rule] = [(torch.zeros_like(x) if d is None else d).numpy().astype(np.float32) for x, d in zip(xs, gs)]

    def plain(a):
        return {"dims": list(a.shape), "data": [float(f"{v:.8g}") for v in a.flatten()]}

    cases.append(
        {
            "name": name,
            "model": base64.b64encode(model.SerializeToString()).decode(),
            "inputs": {k: plain(v) for k, v in inputs.items()},
            "cotangents": {o: plain(s) for o, s in zip(outputs, seeds)},
            "grads": {rule: {k: plain(d) for k, d in zip(inputs, ds)} for rule, ds in grads.items()},
        }
    )


def node(op, inputs, outputs=("y",), domain="", **attributes):
    return helper.make_node(op, list(inputs), list(outputs), domain=domain, **attributes)


class Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, by):
        ctx.by = by
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.by, None


def gate(f):
    """x ↦ x · (f(x)/x held constant)."""
    return lambda x: x * (f(x) / x).detach()


i64 = lambda *v: np.array(v, np.int64)
t = lambda a: torch.tensor(a, dtype=torch.float64)

# element-wise, with broadcasting both ways
for op, f in {"Add": torch.add, "Sub": torch.sub, "Div": torch.div}.items():
    case(op, node(op, "ab"), {"a": normal(2, 3, 4), "b": positive(3, 1)}, f)
    case(f"{op} row", node(op, "ab"), {"a": normal(4), "b": positive(2, 3, 4)}, f)
# a product of two live tensors that is neither norm nor activation: halved on both sides under LRP
product = lambda a, b: Halve.apply(a * b, 0.5)
case("Mul", node("Mul", "ab"), {"a": normal(2, 3, 4), "b": positive(3, 1)}, torch.mul, lrp=product)
case("Mul square", node("Mul", "aa"), {"a": normal(2, 3)}, lambda a: a * a)
case("Mul constant", node("Mul", "ac"), {"a": normal(2, 3, 1)}, lambda a: a * t(C), {"c": (C := normal(3, 5))})
for p in (2.0, 3.0, -0.5):
    case(f"Pow {p}", node("Pow", "ae"), {"a": positive(2, 3)}, lambda a, p=p: a**p, {"e": np.float32(p)})
for op, f, x in [
    ("Sqrt", torch.sqrt, positive(2, 3)),
    ("Reciprocal", torch.reciprocal, positive(2, 3)),
    ("Neg", torch.neg, normal(2, 3)),
    ("Exp", torch.exp, normal(2, 3)),
    ("Log", torch.log, positive(2, 3)),
    ("Abs", torch.abs, normal(2, 3)),
    ("Identity", lambda x: x * 1, normal(2, 3)),
]:
    case(op, node(op, "x"), {"x": x}, f)
for op, f in {"Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Erf": torch.erf}.items():
    case(op, node(op, "x"), {"x": normal(3, 7)}, f, lrp=gate(f))
case("Where", node("Where", "cab"), {"a": normal(3, 4), "b": normal(4)}, lambda a, b: torch.where(torch.tensor(COND), a, b), {"c": (COND := rng.random((3, 4)) > 0.5)})
case("Cast", [node("Cast", "x", "h", to=TensorProto.DOUBLE), node("Exp", "h", "e"), node("Cast", "e", to=TensorProto.FLOAT)], {"x": normal(2, 3)}, torch.exp)

# activations, fused and written out
gelu = F.gelu
tanh_gelu = lambda x: F.gelu(x, approximate="tanh")
silu = F.silu
quick = lambda x: x * torch.sigmoid(1.702 * x)
x = normal(3, 9, scale=2)
case("Gelu 20", node("Gelu", "x"), {"x": x}, gelu, lrp=gate(gelu))
case("Gelu 20 tanh", node("Gelu", "x", approximate="tanh"), {"x": x}, tanh_gelu, lrp=gate(tanh_gelu))
case("Gelu contrib", node("Gelu", "x", domain=MS), {"x": x}, gelu, lrp=gate(gelu))
case("FastGelu", node("FastGelu", "x", domain=MS), {"x": x}, tanh_gelu, lrp=gate(tanh_gelu))
case("QuickGelu", node("QuickGelu", "x", domain=MS, alpha=1.702), {"x": x}, quick, lrp=gate(quick))
for alpha in (None, 1.702):
    swish = lambda x, a=alpha or 1: x * torch.sigmoid(a * x)
    case(f"Swish {alpha or 'of opset 24'}", node("Swish", "x", **({"alpha": alpha} if alpha else {})), {"x": x}, swish, lrp=gate(swish), opset=24)
case("SiLU written out", [node("Sigmoid", "x", "s"), node("Mul", "xs")], {"x": x}, silu, lrp=gate(silu))
case(
    "GELU written out",
    [node("Div", "xr", "u"), node("Erf", "u", "v"), node("Add", "vo", "w"), node("Mul", "xw", "z"), node("Mul", "zh")],
    {"x": x}, gelu, {"r": np.float32(math.sqrt(2)), "o": np.float32(1), "h": np.float32(0.5)}, lrp=gate(gelu),
)
case(
    "tanh GELU written out",
    [node("Pow", "xp", "c"), node("Mul", "ca", "d"), node("Add", "xd", "e"), node("Mul", "ek", "u"), node("Tanh", "u", "v"), node("Add", "vo", "w"), node("Mul", "xh", "i"), node("Mul", "iw")],
    {"x": x}, tanh_gelu, {"p": np.float32(3), "a": np.float32(0.044715), "k": np.float32(math.sqrt(2 / math.pi)), "o": np.float32(1), "h": np.float32(0.5)}, lrp=gate(tanh_gelu),
)
case("softcap", [node("Div", "xc", "u"), node("Tanh", "u", "v"), node("Mul", "vc")], {"x": x}, lambda x: 3 * torch.tanh(x / 3), {"c": np.float32(3)}, lrp=gate(lambda x: 3 * torch.tanh(x / 3)))
case(
    "gate × up", [node("Sigmoid", "g", "s"), node("Mul", "gs", "a"), node("Mul", "au")], {"g": normal(3, 4), "u": normal(3, 4)}, lambda g, u: silu(g) * u,
    lrp=lambda g, u: Halve.apply(gate(silu)(g) * u, 0.5), cp=lambda g, u: silu(g).detach() * u,
)
case(
    "gate × up, fused", [node("FastGelu", "g", "a", domain=MS), node("Mul", "ua")], {"g": normal(3, 4), "u": normal(3, 4)}, lambda g, u: tanh_gelu(g) * u,
    lrp=lambda g, u: Halve.apply(gate(tanh_gelu)(g) * u, 0.5), cp=lambda g, u: tanh_gelu(g).detach() * u,
)

# torch.onnx writes both GELUs as ½ · (x · (1 + …)): the half stands between the activation and the product
TORCH_GELU = {
    "erf": (gelu, [node("Div", "gr", "u"), node("Erf", "u", "v"), node("Add", "vo", "w"), node("Mul", "gw", "z"), node("Mul", "zh", "a")]),
    "tanh": (
        tanh_gelu,
        [node("Mul", "gg", "s"), node("Mul", "gs", "c"), node("Mul", "tc", "d"), node("Add", "gd", "e"), node("Mul", "ke", "j"), node("Tanh", "j", "v"), node("Add", "vo", "w"), node("Mul", "gw", "z"), node("Mul", "hz", "a")],
    ),
    "contrib": (gelu, [node("Gelu", "g", "a", domain=MS)]),
    "opset 20": (tanh_gelu, [node("Gelu", "g", "a", approximate="tanh")]),
}
GELU_CONSTANTS = {"r": math.sqrt(2), "o": 1, "h": 0.5, "t": 0.044715, "k": math.sqrt(2 / math.pi)}
for form, (f, nodes) in TORCH_GELU.items():
    used = {name for n in nodes for name in n.input}
    case(
        f"GELU × up, {form}", [*nodes, node("Mul", ["a", "up"])], {"g": normal(3, 4, scale=2), "up": normal(3, 4)}, lambda g, u, f=f: f(g) * u,
        {k: np.float32(v) for k, v in GELU_CONSTANTS.items() if k in used}, lrp=lambda g, u, f=f: Halve.apply(gate(f)(g) * u, 0.5), cp=lambda g, u, f=f: f(g).detach() * u,
    )

# products
case("MatMul weight", node("MatMul", "xw"), {"x": normal(1, 3, 4)}, lambda x: x @ t(W), {"w": (W := normal(4, 5))})
case("MatMul weight left", node("MatMul", "wx"), {"x": normal(4, 3)}, lambda x: t(W2) @ x, {"w": (W2 := normal(5, 4))})
case("MatMul batched", node("MatMul", "ab"), {"a": normal(2, 3, 4), "b": normal(2, 4, 5)}, torch.matmul, lrp=lambda a, b: Halve.apply(a @ b, 0.5))
case("MatMul broadcast", node("MatMul", "ab"), {"a": normal(2, 3, 4), "b": normal(1, 4, 5)}, torch.matmul)
case("Gemm", node("Gemm", "xwb"), {"x": normal(3, 4)}, lambda x: x @ t(W3) + t(B3), {"w": (W3 := normal(4, 5)), "b": (B3 := normal(5))})
case("Gemm transB", node("Gemm", "xwb", transB=1, alpha=0.5), {"x": normal(3, 4)}, lambda x: 0.5 * x @ t(W4).T + t(B4), {"w": (W4 := normal(5, 4)), "b": (B4 := normal(5))})


def blocks(n, k, block, bits, zero):
    top = 2**bits
    q = rng.integers(0, top, (n, k // block, block)).astype(np.uint8)
    scales = (0.05 + rng.random((n, k // block)) * 0.1).astype(np.float32)
    z = rng.integers(0, top, (n, k // block)).astype(np.uint8) if zero else np.full((n, k // block), top // 2, np.uint8)
    dense = ((q.astype(np.float64) - z[..., None]) * scales[..., None]).reshape(n, k)
    pack = (lambda a: a[..., ::2] | (a[..., 1::2] << 4)) if bits == 4 else (lambda a: a)
    constants = {"q": pack(q), "s": scales.flatten()}
    if zero:
        constants["z"] = pack(np.pad(z, [(0, 0), (0, bits == 4 and z.shape[1] % 2)])).flatten()
    return dense, constants


# 96 = three blocks: their zero points fill a byte and a half of every row
for bits, zero, n, k in [(4, False, 8, 64), (4, True, 8, 64), (4, False, 48, 96), (4, True, 8, 96), (8, False, 8, 64), (8, True, 8, 64)]:
    dense, constants = blocks(n, k, 32, bits, zero)
    case(
        f"MatMulNBits {bits} bits {n} × {k}{', zero points' if zero else ''}",
        node("MatMulNBits", ["x", *constants], domain=MS, K=k, N=n, bits=bits, block_size=32, accuracy_level=1),
        {"x": normal(1, 3, k)}, lambda x, d=dense: x @ t(d).T, constants,
    )

# reductions and norms
for keep in (0, 1):
    case(f"ReduceMean keep {keep}", node("ReduceMean", "xa", keepdims=keep), {"x": normal(2, 3, 4)}, lambda x, k=keep: x.mean((0, 2), keepdim=bool(k)), {"a": i64(0, -1)})
    case(f"ReduceSum keep {keep}", node("ReduceSum", "xa", keepdims=keep), {"x": normal(2, 3, 4)}, lambda x, k=keep: x.sum(1, keepdim=bool(k)), {"a": i64(1)})
case("ReduceMean opset 13", node("ReduceMean", "x", axes=[-1]), {"x": normal(2, 3, 4)}, lambda x: x.mean(-1, keepdim=True), opset=13)
case("Softmax", node("Softmax", "x", axis=-1), {"x": normal(2, 3, 4)}, lambda x: x.softmax(-1))
case("Softmax axis 1", node("Softmax", "x", axis=1), {"x": normal(2, 3, 4)}, lambda x: x.softmax(1))

EPS = 1e-5
w, b = positive(8), normal(8)
rms = lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * t(w)
rms_lrp = lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS).detach() * t(w)
ln = lambda x: F.layer_norm(x, (8,), t(w), t(b), EPS)


def ln_lrp(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + EPS).detach() * t(w) + t(b)


x8 = lambda: normal(1, 3, 8)
case("SimplifiedLayerNormalization", node("SimplifiedLayerNormalization", "xw", axis=-1, epsilon=EPS, stash_type=1), {"x": x8()}, rms, {"w": w}, lrp=rms_lrp)
case("RMSNormalization", node("RMSNormalization", "xw", axis=-1, epsilon=EPS), {"x": x8()}, rms, {"w": w}, lrp=rms_lrp, opset=23)
case("LayerNormalization", node("LayerNormalization", "xwb", axis=-1, epsilon=EPS), {"x": x8()}, ln, {"w": w, "b": b}, lrp=ln_lrp)
skip = {"x": x8(), "r": x8()}
case("SkipSimplifiedLayerNormalization", node("SkipSimplifiedLayerNormalization", "xrw", ["y", "", "", "s"], domain=MS, epsilon=EPS), skip, lambda x, r: (rms(x + r), x + r), {"w": w}, ("y", "s"), lrp=lambda x, r: (rms_lrp(x + r), x + r))
case("SkipSimplifiedLayerNormalization, bias", node("SkipSimplifiedLayerNormalization", "xrwb", ["y"], domain=MS, epsilon=EPS), skip, lambda x, r: rms(x + r + t(b)), {"w": w, "b": b})
case("SkipLayerNormalization", node("SkipLayerNormalization", "xrwb", ["y", "", "", "s"], domain=MS, epsilon=EPS), skip, lambda x, r: (ln(x + r), x + r), {"w": w, "b": b}, ("y", "s"), lrp=lambda x, r: (ln_lrp(x + r), x + r))
case(
    "RMSNorm written out", [node("Pow", "xp", "a"), node("ReduceMean", ["a", "i"], "m"), node("Add", "me", "v"), node("Sqrt", "v", "d"), node("Div", "od", "n"), node("Mul", "xn", "u"), node("Mul", "uw")],
    {"x": x8()}, rms, {"p": np.float32(2), "i": i64(-1), "e": np.float32(EPS), "o": np.float32(1), "w": w}, lrp=rms_lrp,
)
case(
    "LayerNorm written out", [node("ReduceMean", "xi", "m"), node("Sub", "xm", "c"), node("Pow", "cp", "a"), node("ReduceMean", "ai", "v"), node("Add", "ve", "u"), node("Sqrt", "u", "d"), node("Div", "cd", "n"), node("Mul", "nw", "k"), node("Add", "kb")],
    {"x": x8()}, ln, {"p": np.float32(2), "i": i64(-1), "e": np.float32(EPS), "w": w, "b": b}, lrp=ln_lrp,
)

# operators that only move numbers
case("Reshape", node("Reshape", "xs"), {"x": normal(2, 3, 4)}, lambda x: x.reshape(6, 4), {"s": i64(-1, 4)})
case("Transpose", node("Transpose", "x", perm=[2, 0, 1]), {"x": normal(2, 3, 4)}, lambda x: x.permute(2, 0, 1))
case("Unsqueeze", node("Unsqueeze", "xa"), {"x": normal(2, 3)}, lambda x: x[:, None], {"a": i64(1)})
case("Squeeze", node("Squeeze", "xa"), {"x": normal(2, 1, 3)}, lambda x: x[:, 0], {"a": i64(1)})
case("Expand", node("Expand", "xs"), {"x": normal(2, 1, 3)}, lambda x: x.expand(4, 2, 5, 3), {"s": i64(4, 2, 5, 3)})
case("Concat", node("Concat", "ab", axis=-1), {"a": normal(2, 3), "b": normal(2, 5)}, lambda a, b: torch.cat([a, b], -1))
case("Split", node("Split", "xs", ["y", "unused", "v"], axis=-1), {"x": normal(2, 9)}, lambda x: (x[:, :2], x[:, 5:]), {"s": i64(2, 3, 4)}, ("y", "v"))
case("Slice", node("Slice", ["x", "b", "e", "a"]), {"x": normal(2, 8)}, lambda x: x[:, 3:-1], {"b": i64(3), "e": i64(-1), "a": i64(1)})
case("Slice with steps", node("Slice", ["x", "b", "e", "a", "p"]), {"x": normal(3, 8, 2)}, lambda x: x[1:, 1:6:3], {"b": i64(1, 1), "e": i64(2**31, -2), "a": i64(0, 1), "p": i64(1, 3)})
case(
    "interleaved rotation written out",
    [
        *[node("Slice", ["x", f"b{i}", "e", "last", "two"], [f"x{i}"]) for i in (0, 1)],
        *[node("Mul", [f"x{i}", c], [f"{c}{i}"]) for i in (0, 1) for c in ("cos", "sin")],
        node("Sub", ["cos0", "sin1"], ["first"]), node("Add", ["sin0", "cos1"], ["second"]),
        *[node("Unsqueeze", [part, "last"], [f"{part} apart"]) for part in ("first", "second")],
        node("Concat", ["first apart", "second apart"], ["pairs"], axis=-1), node("Reshape", ["pairs", "whole"]),
    ],
    {"x": normal(1, 2, 3, 8)}, lambda x: torch.stack([x[..., ::2] * t(COS) - x[..., 1::2] * t(SIN), x[..., ::2] * t(SIN) + x[..., 1::2] * t(COS)], -1).flatten(-2),
    {"b0": i64(0), "b1": i64(1), "e": i64(2**63 - 1), "last": i64(-1), "two": i64(2), "whole": i64(1, 2, 3, 8), "cos": (COS := np.cos(normal(3, 4))), "sin": (SIN := np.sin(normal(3, 4)))},
)
case("Flatten", node("Flatten", "x", axis=-1), {"x": normal(2, 3, 4)}, lambda x: x.flatten(0, 1))
case("Dropout", node("Dropout", "x"), {"x": normal(2, 3)}, lambda x: x * 1)
case("Gather", node("Gather", "xi", axis=1), {"x": normal(2, 3, 4)}, lambda x: x[:, 2], {"i": np.array(2, np.int64)})


# rotation and attention
def caches(rows, half):
    angles = np.outer(np.arange(rows), 10.0 ** (-np.arange(half) / half * 2))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rope(x, cos, sin, interleaved=False):
    """x [1, T, heads, width]."""
    n, half = x.shape[1], cos.shape[1]
    c, s = t(cos)[:n, None], t(sin)[:n, None]
    turned, rest = x[..., : 2 * half], x[..., 2 * half :]
    if interleaved:
        a, b = turned[..., ::2], turned[..., 1::2]
        out = torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
    else:
        a, b = turned[..., :half], turned[..., half:]
        out = torch.cat([a * c - b * s, a * s + b * c], -1)
    return torch.cat([out, rest], -1)


T = 6
for interleaved, half, width in [(0, 4, 8), (1, 4, 8), (0, 2, 8)]:
    cos, sin = caches(16, half)
    extra = {} if 2 * half == width else {"rotary_embedding_dim": 2 * half}
    case(
        f"RotaryEmbedding {'interleaved' if interleaved else 'halves'} {2 * half} of {width}",
        node("RotaryEmbedding", ["x", "p", "c", "s"], domain=MS, interleaved=interleaved, num_heads=2, **extra),
        {"x": normal(1, T, 2 * width)},
        lambda x, cos=cos, sin=sin, i=interleaved, w=width: rope(x.reshape(1, T, 2, w), cos, sin, i).reshape(1, T, -1),
        {"p": np.arange(T, dtype=np.int64)[None], "c": cos, "s": sin},
    )


def attend(q, k, v, heads, kv, width, cos=None, sin=None, interleaved=False, window=-1, softcap=0.0, scale=None, mode="gradient"):
    q, k, v = (x.reshape(1, T, n, width) for x, n in ((q, heads), (k, kv), (v, kv)))
    if cos is not None:
        q, k = rope(q, cos, sin, interleaved), rope(k, cos, sin, interleaved)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if mode == "attnlrp":
        q, k, v = Halve.apply(q, 0.25), Halve.apply(k, 0.25), Halve.apply(v, 0.5)
    if mode == "cp-lrp":
        q, k = q.detach(), k.detach()
    k, v = (x.repeat_interleave(heads // kv, 1) for x in (k, v))
    s = q @ k.transpose(-1, -2) * (scale or width**-0.5)
    if softcap:
        cap = lambda s: softcap * torch.tanh(s / softcap)
        s = gate(cap)(s) if mode == "attnlrp" else cap(s)
    i = torch.arange(T)
    far = i[:, None] - i[None]
    allowed = (far >= 0) & (far < (window if window > 0 else T + 1))
    p = s.masked_fill(~allowed, -math.inf).softmax(-1)
    return (p @ v).transpose(1, 2).reshape(1, T, heads * width)


def gqa(name, heads, kv, width, packed=False, rotary=False, **more):
    half = more.pop("half", width // 2)
    interleaved = more.get("interleaved", False)
    cos, sin = caches(16, half)
    constants = {
        "pk": np.zeros((1, kv, 0, width), np.float32), "pv": np.zeros((1, kv, 0, width), np.float32),
        "n": np.array([T - 1], np.int32), "m": np.array(T, np.int32),
    }
    if rotary:
        constants |= {"cos": cos, "sin": sin}
    shapes = (heads * width, kv * width, kv * width)
    if packed:
        inputs, names = {"q": normal(1, T, sum(shapes))}, ["q", "", ""]
    else:
        inputs, names = {n: normal(1, T, s) for n, s in zip("qkv", shapes)}, ["q", "k", "v"]
    attributes = dict(num_heads=heads, kv_num_heads=kv, do_rotary=int(rotary), rotary_interleaved=int(interleaved))
    if "scale" in more:
        attributes["scale"] = more["scale"]
    if "softcap" in more:
        attributes["softcap"] = more["softcap"]
    if "window" in more:
        attributes["local_window_size"] = more["window"]
    more |= {"cos": cos, "sin": sin} if rotary else {}

    def f(mode):
        def run(*xs):
            q, k, v = torch.split(xs[0], shapes, -1) if packed else xs
            return attend(q, k, v, heads, kv, width, mode=mode, **more)

        return run

    case(
        f"GroupQueryAttention {name}",
        node("GroupQueryAttention", [*names, "pk", "pv", "n", "m", *(["cos", "sin"] if rotary else [])], ["y", "kk", "vv"], domain=MS, **attributes),
        inputs, f("gradient"), constants, lrp=f("attnlrp"), cp=f("cp-lrp"),
    )


gqa("separate", 4, 2, 16)
gqa("packed, rotated", 4, 2, 16, packed=True, rotary=True)
gqa("interleaved", 2, 1, 16, rotary=True, interleaved=True)
gqa("part rotated", 2, 1, 32, rotary=True, half=8)
gqa("window", 4, 1, 16, packed=True, rotary=True, window=3)
gqa("softcap, scale", 2, 2, 16, softcap=1.5, scale=0.7)
case(
    "attention written out",
    [
        node("Transpose", "k", ["kt"], perm=[0, 1, 3, 2]), node("MatMul", ["q", "kt"], ["s"]), node("Div", ["s", "d"], ["sd"]), node("Add", ["sd", "m"], ["sm"]),
        node("Softmax", ["sm"], ["p"], axis=-1), node("MatMul", ["p", "v"]),
    ],
    {n: normal(1, 2, T, 4) for n in "qkv"},
    lambda q, k, v: (q @ k.transpose(-1, -2) / 2 + t(M)).softmax(-1) @ v,
    {"d": np.float32(2), "m": (M := np.triu(np.full((T, T), -1e4, np.float32), 1))},
    lrp=lambda q, k, v: (Halve.apply(q, 0.25) @ Halve.apply(k, 0.25).transpose(-1, -2) / 2 + t(M)).softmax(-1) @ Halve.apply(v, 0.5),
    cp=lambda q, k, v: (q @ k.transpose(-1, -2) / 2 + t(M)).softmax(-1).detach() @ v,
)


# attention with a norm on each head's query and key, inside the node
def normed(x, w, heads, rule, eps):
    x = x.reshape(1, T, heads, -1)
    r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return (x * (r if rule == "gradient" else r.detach()) * t(w)).reshape(1, T, -1)


def gqa_normed(heads, kv, width, eps=1e-6):
    cos, sin = caches(16, width // 2)
    qw, kw = positive(width), positive(width)
    shapes = (heads * width, kv * width, kv * width)
    constants = {
        "pk": np.zeros((1, kv, 0, width), np.float32), "pv": np.zeros((1, kv, 0, width), np.float32),
        "n": np.array([T - 1], np.int32), "m": np.array(T, np.int32), "cos": cos, "sin": sin, "qw": qw, "kw": kw,
    }

    def f(mode):
        return lambda q, k, v: attend(normed(q, qw, heads, mode, eps), normed(k, kw, kv, mode, eps), v, heads, kv, width, cos=cos, sin=sin, mode=mode)

    case(
        "GroupQueryAttention with normed heads",
        node("GroupQueryAttention", ["q", "k", "v", "pk", "pv", "n", "m", "cos", "sin", "", "", "", "", "", "qw", "kw"], ["y", "kk", "vv"], domain=MS, num_heads=heads, kv_num_heads=kv, do_rotary=1, qk_norm_epsilon=eps),
        {n: normal(1, T, s) for n, s in zip("qkv", shapes)}, f("gradient"), constants, lrp=f("attnlrp"), cp=f("cp-lrp"), native=False,
    )


gqa_normed(4, 2, 16)

# as opset 23 has it: places last, heads in an axis of their own or side by side
for heads_apart in (False, True):
    cos, sin = caches(16, 4)
    case(
        f"RotaryEmbedding of opset 23, {'heads apart' if heads_apart else 'heads side by side'}",
        node("RotaryEmbedding", ["x", "c", "s", "p"], **({} if heads_apart else {"num_heads": 2})),
        {"x": normal(1, 2, T, 8) if heads_apart else normal(1, T, 16)},
        (lambda x, cos=cos, sin=sin: rope(x.transpose(1, 2), cos, sin).transpose(1, 2)) if heads_apart else (lambda x, cos=cos, sin=sin: rope(x.reshape(1, T, 2, 8), cos, sin).reshape(1, T, -1)),
        {"c": cos, "s": sin, "p": np.arange(T, dtype=np.int64)[None]}, opset=23,
    )


# attention of as many keys as queries, its mask given or implied
def mha(name, masked, **attributes):
    width, heads = 8, 3
    mask = np.triu(np.full((1, 1, T, T), -1e4, np.float32), 1)

    def f(mode):
        return lambda q, k, v: attend(q, k, v, heads, heads, width, mode=mode, scale=attributes.get("scale"))

    case(
        f"MultiHeadAttention {name}",
        node("MultiHeadAttention", ["q", "k", "v", *(["", "", "mask"] if masked else [])], domain=MS, num_heads=heads, unidirectional=0 if masked else 1, **attributes),
        {n: normal(1, T, heads * width) for n in "qkv"}, f("gradient"), {"mask": mask} if masked else {}, lrp=f("attnlrp"), cp=f("cp-lrp"),
    )


mha("with a mask", True)
mha("causal, scale", False, scale=0.7)

OUT.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "cases", OUT.stat().st_size, "bytes")
