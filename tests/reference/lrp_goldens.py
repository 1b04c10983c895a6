"""Relevance maps of the tiny fixture decoders, by PyTorch: what src/onnx/diff is compared with.

    python tests/reference/lrp_goldens.py [name ...]

R[l, i] = sum_d h[l, i, d] * dz/dh[l, i, d] in float64, under three rules: the gradient, AttnLRP and CP-LRP, the last two as
modified gradients (Achtibat et al. 2024, Arras et al. 2025) written here once more, independently of the TypeScript.  LXT's own
AttnLRP and CP-LRP are run beside on every fp32 file of a family that LXT knows, and how far they agree is written down.

For each file tests/fixtures/models/<name>/onnx/<file>.onnx one tests/fixtures/diff/<name>.<file>.json (ids, targets, z) and one .f32
with R [rules, targets, layers + 1, tokens].  Files other than fp32: the same architecture with the file's own weights, unpacked.
"""

import contextlib
import importlib
import json
import multiprocessing
import sys
import types
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from make_fixtures import OUT, PLANS  # noqa: E402
from tiny import VOCAB, random_model  # noqa: E402
from weights import with_weights_of  # noqa: E402

DIFF = OUT.parent / "diff"
RULES = ["gradient", "attnlrp", "cp-lrp"]


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, by):
        ctx.by = by
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.by, None


class Ratio(torch.autograd.Function):
    """f with the gradient f(x)/x."""

    @staticmethod
    def forward(ctx, x, f):
        y = f(x)
        ctx.save_for_backward(torch.where(x == 0, torch.zeros_like(x), y / torch.where(x == 0, torch.ones_like(x), x)))
        return y

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None


def rms(self, x):
    eps = getattr(self, "variance_epsilon", None) or self.eps
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps).detach()


@contextlib.contextmanager
def modified(model, rule):
    """The model under LRP rules: forward unchanged, backward as the tables say."""
    if rule == "gradient":
        yield
        return
    cp = rule == "cp-lrp"
    module = importlib.import_module(type(model).__module__)
    undo = []

    def norm(self, x):
        weight = 1 + self.weight if type(self).__name__.startswith("Gemma") else self.weight
        return rms(self, x) * weight

    def mlp(self, x):
        if hasattr(self, "gate_up_proj"):
            gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
            act = self.activation_fn
        else:
            gate, up, act = self.gate_proj(x), self.up_proj(x), self.act_fn
        if cp:
            return self.down_proj(act(gate).detach() * up)
        return self.down_proj(Scale.apply(Ratio.apply(gate, act) * up, 0.5))

    for part in model.modules():
        name = type(part).__name__
        if name.endswith("RMSNorm"):
            part.forward = norm.__get__(part)
            undo.append(part)
        elif name.endswith("MLP"):
            part.forward = mlp.__get__(part)
            undo.append(part)
    plain, tanh = module.eager_attention_forward, torch.tanh

    def attention(self, query, key, value, *args, **kwargs):
        if cp:
            query, key = query.detach(), key.detach()
        else:
            query, key, value = Scale.apply(query, 0.25), Scale.apply(key, 0.25), Scale.apply(value, 0.5)
        return plain(self, query, key, value, *args, **kwargs)

    module.eager_attention_forward = attention
    # Gemma 2 caps its scores and its logits: a cap is an activation like any other.
    torch.tanh = lambda x: Ratio.apply(x, tanh)
    try:
        yield
    finally:
        module.eager_attention_forward, torch.tanh = plain, tanh
        for part in undo:
            del part.forward


def relevance(model, ids, target):
    """R [layers + 1, tokens] and z."""
    layers = model.model.layers
    states = [None] * (len(layers) + 1)

    def keep(l, x):
        x.retain_grad()
        states[l] = x

    def after(l):
        return lambda _m, _i, out: keep(l, out[0] if isinstance(out, tuple) else out)

    hooks = [layers[0].register_forward_pre_hook(lambda _m, args: keep(0, args[0]))]
    hooks += [layer.register_forward_hook(after(l + 1)) for l, layer in enumerate(layers)]
    logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    z = sum(w * logits[row, token] for row, token, w in target)
    model.zero_grad()
    z.backward()
    return torch.stack([(h * h.grad).sum(-1)[0] for h in states]).detach().numpy(), float(z.detach())


def by_lxt(kind, seed, ids, target, rule):
    """LXT's own relevance, or why it was not run. It patches classes for good: only ever called in a process of its own."""
    import transformers.pytorch_utils as utils

    # LXT imports every family it knows; those that need other packages or older ones are left empty.
    for name in ("find_pruneable_heads_and_indices", "prune_linear_layer"):
        if not hasattr(utils, name):
            setattr(utils, name, None)
    for name, inner in (("vit_torch", "vision_transformer"), ("bert", "modeling_bert"), ("gpt2", "modeling_gpt2")):
        empty = types.ModuleType(name)
        setattr(empty, inner, types.ModuleType(inner))
        empty.attnLRP = empty.cp_LRP = {}
        sys.modules[f"lxt.efficient.models.{name}"] = empty
    from lxt.efficient import monkey_patch

    def make():
        return random_model(kind, seed).double().eval()

    module = importlib.import_module(type(make()).__module__)
    family = module.__name__.rsplit("modeling_", 1)[1]
    try:
        known = importlib.import_module(f"lxt.efficient.models.{family}")
    except ModuleNotFoundError:
        return f"LXT does not know {family}"
    monkey_patch(module, known.attnLRP if rule == "attnlrp" else known.cp_LRP)
    # LXT leaves a plain dictionary where transformers 5 looks attention up by a method; the default is the patched eager one.
    lookup = type("Lookup", (dict,), {"get_interface": lambda self, name, default: self.get(name, default)})
    module.ALL_ATTENTION_FUNCTIONS = lookup(module.ALL_ATTENTION_FUNCTIONS.items())
    return relevance(make(), ids, target)[0]


def agreement(ours, theirs):
    """Of one map with LXT's."""
    if isinstance(theirs, str):
        return theirs
    cosine = (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs)
    return {"cosine": float(cosine), "error": float(np.linalg.norm(ours - theirs) / np.linalg.norm(ours))}


def in_a_process(f, *args):
    """A fresh one: a forked one waits for good for threads of torch that were not forked along."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(f, *args).result()


def main():
    wanted = sys.argv[1:]
    DIFF.mkdir(exist_ok=True)
    for folder in sorted(OUT.iterdir()):
        name = folder.name
        if (wanted and name not in wanted) or name not in PLANS:
            continue
        kind, seed, _files = PLANS[name]
        for path in sorted((folder / "onnx").glob("*.onnx")):
            plain = path.stem == "model"

            def make():
                model = random_model(kind, seed)
                return (model if plain else with_weights_of(model, path)).double().eval()

            golden = json.loads((folder / f"golden{path.stem.removeprefix('model')}.json").read_text())
            ids, n = golden["ids"], len(golden["ids"])
            a = golden["greedy"][0]
            b = next(token for token in golden["greedy"] if token != a)
            c = (a + 7) % VOCAB  # another word, for the difference that a page can ask for
            targets = [[[n - 1, a, 1.0]], [[n - 1, a, 1.0], [n - 1, b, -1.0], [n // 2, b, 0.5]], [[n - 1, a, 1.0], [n - 1, c, -1.0]]]
            model = make()
            maps, z = [], []
            for rule in RULES:
                with modified(model, rule):
                    both = [relevance(model, ids, target) for target in targets]
                maps.append(np.stack([m for m, _ in both]))
                z.append([v for _, v in both])
            maps = np.stack(maps)
            assert np.allclose(z[0], z[1]) and np.allclose(z[0], z[2])
            if not any(p.endswith("bias") for p, _ in model.named_parameters()):
                assert np.allclose(maps[2].sum(-1), np.array(z[2])[:, None], rtol=1e-9), "CP-LRP conserves"
            info = {"ids": ids, "targets": targets, "rules": RULES, "shape": list(maps.shape), "z": z[0]}
            if plain:
                info["lxt"] = {rule: agreement(maps[r][0], in_a_process(by_lxt, kind, seed, ids, targets[0], rule)) for r, rule in enumerate(RULES) if r > 0}
            key = f"{name}.{path.stem}"
            (DIFF / f"{key}.f32").write_bytes(np.ascontiguousarray(maps, "<f4").tobytes())
            (DIFF / f"{key}.json").write_text(json.dumps(info) + "\n")
            print(key, maps.shape, "z", np.round(z[0], 4), info.get("lxt", ""), flush=True)


if __name__ == "__main__":
    main()
