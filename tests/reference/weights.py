"""The weights of an ONNX file, unpacked and put back into the transformers model that the file was made from.

Products are recognised by their nodes' names, norms and biases by their tensors', as all exporters here write them.
"""

import re

import numpy as np
import onnx
import torch
from onnx import numpy_helper

#: what some exporters, and some models, keep in one matrix
FUSED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
PROJECTIONS = {"o_proj", "down_proj", *FUSED, *[part for parts in FUSED.values() for part in parts]}


def nibbles(packed):
    """4-bit numbers of bytes, the low half first."""
    return np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)


def unpack(packed, scales, zeros, n, k, block, bits):
    """Dense float64 [n, k] = (q - zero) * scale, in blocks along k; what is left of a row's last byte or block is padding."""
    numbers = (lambda a: nibbles(a.reshape(n, -1))) if bits == 4 else (lambda a: a.reshape(n, -1))
    blocks = -(-k // block)
    q = numbers(packed)[:, : blocks * block].reshape(n, blocks, block).astype(np.float64)
    zero = np.full((n, blocks), 2.0 ** (bits - 1)) if zeros is None else numbers(zeros)[:, :blocks].astype(np.float64)
    return ((q - zero[..., None]) * scales.astype(np.float64).reshape(n, blocks, 1)).reshape(n, -1)[:, :k]


class Rounded(torch.nn.Module):
    """x·Wᵀ with x rounded to 256 steps between its least and its largest number, as DynamicQuantizeLinear is defined."""

    def __init__(self, weight, scale):
        super().__init__()
        self.weight, self.scale = torch.tensor(weight, dtype=torch.float64), torch.tensor(scale, dtype=torch.float32)

    def forward(self, x):
        low, high = x.min().clamp(max=0), x.max().clamp(min=0)
        step = (high - low) / 255
        zero = torch.round(-low / step).clamp(0, 255)
        q = (torch.round(x / step) + zero).clamp(0, 255) - zero
        return (q.double() @ self.weight.T).float() * (step * self.scale)


class File:
    """An ONNX file's nodes, with the constants they read."""

    def __init__(self, path):
        graph = onnx.load(str(path)).graph
        self.nodes = graph.node
        self.tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.tensors |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"}
        self.made = {o: n for n in graph.node for o in n.output}

    def constant(self, name):
        """A constant, seen through what turns it, or only names, converts or reshapes it; None where there is none."""
        if name in self.tensors:
            return self.tensors[name]
        node = self.made.get(name)
        if node is None or node.op_type not in ("Reshape", "Cast", "Identity", "Transpose"):
            return None
        found = self.constant(node.input[0])
        return found.T if found is not None and node.op_type == "Transpose" else found

    def optional(self, node, i):
        return self.constant(node.input[i]) if len(node.input) > i and node.input[i] else None

    def product(self, node):
        """Dense [N, K] of a product with a constant."""
        a = {x.name: x.i for x in node.attribute}
        if node.op_type == "MatMulNBits":
            return unpack(self.tensors[node.input[1]], self.tensors[node.input[2]], self.optional(node, 3), a["N"], a["K"], a["block_size"], a.get("bits", 4))
        if node.op_type == "MatMulInteger":
            q, scale = self.integers(node)
            return q * scale[:, None]
        return self.constant(node.input[1]).T

    def integers(self, node):
        """[N, K] of whole numbers and their scale, one for all or one a row."""
        q = (self.tensors[node.input[1]].astype(np.float64) - self.tensors[node.input[3]].astype(np.float64)).T
        scale = self.tensors[node.input[1].removesuffix("_quantized") + "_scale"]
        return q, np.broadcast_to(scale.astype(np.float64), len(q))

    def embedding(self, node):
        """Dense [vocab, width] of a gather by the prompt's ids, or None."""
        if node.op_type == "Gather" and node.input[1] == "input_ids":
            table = self.constant(node.input[0])
            scale = [n for n in self.nodes if n.op_type == "DequantizeLinear" and n.input[0] == node.output[0]]
            if not scale:
                return table
            step, zero = (self.tensors[name].astype(np.float64) for name in scale[0].input[1:3])
            return (table.astype(np.float64) - zero) * step
        if node.op_type != "GatherBlockQuantized" or node.input[1] != "input_ids":
            return None
        a = {x.name: x.i for x in node.attribute}
        packed, scales, bits, block = self.constant(node.input[0]), self.constant(node.input[2]), a.get("bits", 4), a.get("block_size", 128)
        return unpack(packed, scales, self.optional(node, 3), len(packed), packed.reshape(len(packed), -1).shape[1] * 8 // bits, block, bits)


def put(model, layer, where, value, kind="weight"):
    """Sets the weight (or bias) of one projection, or of those that the file keeps in one matrix, or a part of the model's own one."""
    block = model.model.layers[layer]
    holder = block.self_attn if where in ("o_proj", "qkv_proj", *FUSED["qkv_proj"]) else block.mlp
    if hasattr(holder, where):
        getattr(getattr(holder, where), kind).data.copy_(value)
    elif where in FUSED:
        parts = [getattr(getattr(holder, part), kind).data for part in FUSED[where]]
        for part, rows in zip(parts, value.split([len(p) for p in parts])):
            part.copy_(rows)
    else:
        whole = next(name for name, parts in FUSED.items() if where in parts)
        data = getattr(getattr(holder, whole), kind).data
        kv = model.config.num_key_value_heads * getattr(holder, "head_dim", 0)
        sizes = [len(data) - 2 * kv, kv, kv] if whole == "qkv_proj" else [len(data) // 2] * 2
        data.split(sizes)[FUSED[whole].index(where)].copy_(value)


NORM = re.compile(r"layers\.(\d+)\.(?:attn\.|self_attn\.)?(\w+_layernorm|q_norm|k_norm)(?:\.layernorm)?\.weight$")
BIAS = re.compile(r"layers\.(\d+)\.(?:attn|self_attn|mlp)\.(\w+_proj)\.(?:Add\.)?bias$")


def norm_of(model, name):
    """The norm that a tensor is the weight of, or None."""
    found = NORM.search(name)
    if name in ("model.norm.weight", "model.final_norm.weight") or (found and found[2].startswith("final_norm")):
        return model.model.norm
    if not found:
        return None
    block = model.model.layers[int(found[1])]
    return getattr(block.self_attn if found[2] in ("q_norm", "k_norm") else block, found[2])


def with_weights_of(model, path, rounded=False):
    """The model with the (unpacked) weights of a file. `rounded`: 8-bit products round their activations too, as the file does."""
    file, found = File(path), []
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    for node in file.nodes:
        table = file.embedding(node)
        if table is not None:
            model.model.embed_tokens.weight.data.copy_(torch.tensor(np.array(table)))
            found.append("embedding")
        where = next((part for part in node.name.split("/") if part in PROJECTIONS or part == "lm_head"), None)
        if where is None or node.op_type not in ("MatMul", "MatMulNBits", "MatMulInteger"):
            continue
        dense = torch.tensor(np.array(file.product(node)))
        found.append(node.name)
        if where == "lm_head":
            model.lm_head.weight.data.copy_(dense)
            holder = model
        else:
            layer = int(re.search(r"layers\.(\d+)", node.name)[1])
            put(model, layer, where, dense)
            holder = model.model.layers[layer].get_submodule("self_attn" if where[0] in "qkvo" else "mlp")
        if rounded and node.op_type == "MatMulInteger":
            setattr(holder, where, Rounded(*file.integers(node)))
    for name, value in file.tensors.items():
        norm, bias = norm_of(model, name), BIAS.search(name)
        if norm is not None:
            # Exporters add the one that Gemma's norms add to their weight.
            norm.weight.data.copy_(torch.tensor(value.astype(np.float64) - (1 if type(model).__name__.startswith("Gemma") else 0)))
            found.append(name)
        elif bias:
            put(model, int(bias[1]), bias[2], torch.tensor(np.array(value)), "bias")
    # an embedding and a head, and of each layer at least query-key-value, output, up, down and two norms
    assert len(found) >= 3 + 6 * model.config.num_hidden_layers, (path, "only found", found)
    return model
