"""Relevance maps of the tiny fixture decoders, by PyTorch: what src/onnx/diff is compared with.

    python tests/reference/lrp_goldens.py [name ...]

R[l, i] = sum_d h[l, i, d] * dz/dh[l, i, d] in float64, under three rules: the gradient, AttnLRP and CP-LRP, the last two as
modified gradients (Achtibat et al. 2024, Arras et al. 2025) written here once more, independently of the TypeScript.  Where the
public LXT package can be imported (PYTHONPATH), its own AttnLRP is run beside and must agree.

For each file tests/fixtures/models/<name>/onnx/<file>.onnx one tests/fixtures/diff/<name>.<file>.json (ids, targets, z) and one .f32
with R [rules, targets, layers + 1, tokens].  Quantised files: the same architecture with the file's own weights, unpacked.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import sys
import types
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parent))
from make_fixtures import CONFIGS, OUT, PLANS, random_model  # noqa: E402

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
    plain = module.eager_attention_forward

    def attention(self, query, key, value, *args, **kwargs):
        if cp:
            query, key = query.detach(), key.detach()
        else:
            query, key, value = Scale.apply(query, 0.25), Scale.apply(key, 0.25), Scale.apply(value, 0.5)
        return plain(self, query, key, value, *args, **kwargs)

    module.eager_attention_forward = attention
    try:
        yield
    finally:
        module.eager_attention_forward = plain
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


def by_lxt(make, ids, target):
    """LXT's own AttnLRP, or why it was not run. It patches classes for good: only ever called in a process of its own."""
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
    try:
        from lxt.efficient import monkey_patch

        model = make()
        module = importlib.import_module(type(model).__module__)
        monkey_patch(module, verbose=False)
        # LXT leaves a plain dictionary where transformers 5 looks attention up by a method; the default is the patched eager one.
        lookup = type("Lookup", (dict,), {"get_interface": lambda self, name, default: self.get(name, default)})
        module.ALL_ATTENTION_FUNCTIONS = lookup(module.ALL_ATTENTION_FUNCTIONS)
        return relevance(make(), ids, target)[0]
    except Exception as error:
        return f"not run: {type(error).__name__} {error}"


def in_child(f, *args):
    if not hasattr(os, "fork"):
        return "not run: no fork"
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(f(*args)))
    child.start()
    out = queue.get(timeout=120)
    child.join()
    return out


def unpack(node, weights):
    """Dense [N, K] of a MatMulNBits node."""
    a = {x.name: x.i for x in node.attribute}
    n, k, block, bits = a["N"], a["K"], a["block_size"], a.get("bits", 4)
    packed = weights[node.input[1]].reshape(n, -1)
    blocks = -(-k // block)
    nibbles = np.stack([packed & 15, packed >> 4], -1).reshape(n, -1) if bits == 4 else packed
    scales = weights[node.input[2]].astype(np.float64).reshape(n, blocks)
    zero = np.full((n, blocks), 8 if bits == 4 else 128, np.float64)
    if len(node.input) > 3 and node.input[3]:
        z = weights[node.input[3]].reshape(n, -1)
        zero = (np.stack([z & 15, z >> 4], -1).reshape(n, -1) if bits == 4 else z)[:, :blocks].astype(np.float64)
    dense = (nibbles.reshape(n, blocks, block).astype(np.float64) - zero[:, :, None]) * scales[:, :, None]
    return dense.reshape(n, -1)[:, :k]


def in_bytes(weights, values, scale, zero):
    """Dense weights of 8 bits: (q - zero) * scale, per tensor or per column."""
    return (weights[values].astype(np.float64) - weights[zero].astype(np.float64)) * weights[scale].astype(np.float64)


def with_weights_of(model, path):
    """Puts the (unpacked) weights of a quantised file into the reference model; products are recognised by their node names."""
    file = onnx.load(str(path))
    weights = {t.name: numpy_helper.to_array(t) for t in file.graph.initializer}
    made = {o: n for n in file.graph.node for o in n.output}
    state = dict(model.named_modules())
    for node in file.graph.node:
        if node.op_type == "GatherBlockQuantized":
            a = {x.name: x.i for x in node.attribute}
            name = node.input[0]
            while name not in weights:
                name = made[name].input[0]
            head = next(n for n in file.graph.node if n.op_type == "MatMulNBits" and n.input[1] in (name, node.input[0]))
            assert a.get("block_size", 32)
            model.model.embed_tokens.weight.data = torch.tensor(unpack(head, weights))
            continue
        if node.op_type == "DequantizeLinear":  # the embedding, in bytes
            q = [n for n in made[node.input[0]].input if n in weights][0]
            model.model.embed_tokens.weight.data = torch.tensor(in_bytes(weights, q, node.input[1], node.input[2]))
            continue
        if node.op_type == "MatMulInteger":
            dense = torch.tensor(in_bytes(weights, node.input[1], node.input[1].replace("_quantized", "_scale"), node.input[3]).T.copy())
        elif node.op_type == "MatMulNBits":
            dense = torch.tensor(unpack(node, weights))
        else:
            continue
        parts = node.name.split("/")
        where = parts[-2]
        if where == "lm_head":
            model.lm_head.weight = torch.nn.Parameter(dense)
            continue
        layer = parts[2] if parts[2].startswith("layers.") else "layers." + parts[3]
        block = state[f"model.{layer}"]
        holder = block.self_attn if "attn" in node.name else block.mlp
        if where == "qkv_proj" and hasattr(holder, "q_proj"):
            at = 0
            for proj in (holder.q_proj, holder.k_proj, holder.v_proj):
                proj.weight.data = dense[at : at + proj.weight.shape[0]]
                at += proj.weight.shape[0]
        elif where == "gate_up_proj" or hasattr(holder, where):
            getattr(holder, where).weight.data = dense
        elif where in ("q_proj", "k_proj", "v_proj"):  # Phi 3 split by the builder
            fused, kv = holder.qkv_proj.weight.data, model.config.num_key_value_heads * holder.head_dim
            rows = fused.shape[0]
            start = {"q_proj": 0, "k_proj": rows - 2 * kv, "v_proj": rows - kv}[where]
            fused[start : start + dense.shape[0]] = dense
        elif where in ("gate_proj", "up_proj"):
            half = holder.gate_up_proj.weight.shape[0] // 2
            holder.gate_up_proj.weight.data[slice(0, half) if where == "gate_proj" else slice(half, None)] = dense
        else:
            raise RuntimeError(f"where does {node.name} go?")
    half = any(t.data_type == 10 for t in file.graph.initializer)
    return model, half


def main():
    wanted = sys.argv[1:]
    DIFF.mkdir(exist_ok=True)
    for folder in sorted(OUT.iterdir()):
        name = folder.name
        if (wanted and name not in wanted) or name not in PLANS:
            continue
        kind, seed, _files = PLANS[name]
        meta = json.loads((folder / ("golden.json" if (folder / "golden.json").exists() else "golden_q4.json")).read_text())
        ids = (meta["ids"] * 8)[:100] if kind == "gemma3" else meta["ids"]  # longer than Gemma's window
        n = len(ids)
        a, b = meta["greedy"][0], meta["greedy"][1]
        c = (a + 7) % CONFIGS[kind]().vocab_size  # another word, for the difference that a page can ask for
        targets = [[[n - 1, a, 1.0]], [[n - 1, a, 1.0], [n - 1, b, -1.0], [n // 2, b, 0.5]], [[n - 1, a, 1.0], [n - 1, c, -1.0]]]
        for path in sorted((folder / "onnx").glob("*.onnx")):

            def make():
                torch.manual_seed(0)
                model = random_model(CONFIGS[kind](), seed)
                if "_q" in path.name:
                    model, _ = with_weights_of(model, path)
                return model.double().eval()

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
            lxt = in_child(by_lxt, make, ids, targets[0]) if path.name == "model.onnx" else None
            if isinstance(lxt, np.ndarray):
                lxt = float(np.abs(lxt - maps[1][0]).max() / np.abs(maps[1][0]).max())
            key = f"{name}.{path.stem}"
            (DIFF / f"{key}.f32").write_bytes(np.ascontiguousarray(maps, "<f4").tobytes())
            info = {"ids": ids, "targets": targets, "rules": RULES, "shape": list(maps.shape), "z": z[0]}
            if lxt is not None:
                info["lxt"] = lxt
            (DIFF / f"{key}.json").write_text(json.dumps(info) + "\n")
            print(key, maps.shape, "z", np.round(z[0], 4), "lxt", lxt, flush=True)


if __name__ == "__main__":
    main()
