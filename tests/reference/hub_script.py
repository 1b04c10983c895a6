"""Gemma 3 in the manner of the hub's hand-written builder scripts."""

import numpy as np
import onnx
from onnx import TensorProto, helper


def blockwise(weight):
    """4-bit blocks of 32 along the last axis, symmetric: bytes [N, K/2] (low nibble first) and scales [N, K/32]."""
    n, k = weight.shape
    blocks = weight.reshape(n, k // 32, 32)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), -1)
    scales = np.where(peak == 0, 1, peak / -8)
    q = np.clip(np.round(blocks / scales) + 8, 0, 15).astype(np.uint8).reshape(n, k)
    return q[:, ::2] | q[:, 1::2] << 4, scales[..., 0]


def script(source, out, dtype="fp32"):
    """Gemma 3 in the manner of the hub's hand-written builder scripts: plain Adds, norms in fp32 between Casts, explicit
    RotaryEmbedding, a tied head through a Transpose, logits always fp32; quantised: the embedding too (`Gather_Q4`)."""
    config = source.config
    io, quantised = (TensorProto.FLOAT if dtype in ("fp32", "q4") else TensorProto.FLOAT16), dtype.startswith("q4")
    np_io = np.float32 if io == TensorProto.FLOAT else np.float16
    nodes, inits, done = [], [], set()

    def const(name, array):
        if name not in done:
            done.add(name)
            inits.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(kind, inputs, name, outputs=None, domain="", **attributes):
        outputs = outputs or [f"{name}/output_0"]
        nodes.append(helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def cast(x, to, name):
        return op("Cast", [x], name, to=to)

    def norm(x, module, name):
        weight = const(f"{name[1:].replace('/', '.')}.weight", 1 + module.weight.detach().numpy())
        x = cast(x, TensorProto.FLOAT, f"{name}/Cast")
        x = op("SimplifiedLayerNormalization", [x, weight], f"{name}/LayerNorm", epsilon=config.rms_norm_eps, axis=-1, stash_type=1)
        return cast(x, io, f"{name}/output/Cast")

    def linear(x, module, name):
        weight = module.weight.detach().numpy()
        label = name[1:].replace("/", ".")
        if not quantised:
            return op("MatMul", [x, const(f"{label}.MatMul.weight", weight.T.astype(np_io))], f"{name}/MatMul")
        q, scales = blockwise(weight)
        n, k = weight.shape
        inputs = [x, const(f"{label}.weight_Q4", q.reshape(n, k // 32, 16)), const(f"{label}.scales", scales.astype(np_io))]
        return op("MatMulNBits", inputs, f"{name}/MatMul_Q4", domain="com.microsoft", K=k, N=n, bits=4, block_size=32, accuracy_level=4)

    weights = source.model.embed_tokens.weight.detach().numpy()
    if quantised:
        # One packed matrix for both ends: the head's blocks, read flat here.
        q, scales = blockwise(weights)
        packed = const("lm_head.weight_Q4", q.reshape(*scales.shape, 16))
        packed = op("Reshape", [packed, const("packed_shape", np.array(q.shape, np.int64))], "/model/embed_tokens/Reshape")
        inputs = [packed, "input_ids", const("lm_head.scales", scales.astype(np_io))]
        x = op("GatherBlockQuantized", inputs, "/model/embed_tokens/Gather_Q4", domain="com.microsoft", gather_axis=0, quantize_axis=1, block_size=32, bits=4)
    else:
        x = op("Gather", [const("model.embed_tokens.weight", weights.astype(np_io)), "input_ids"], "/model/embed_tokens/Gather")
    x = op("Mul", [x, const("model.embed_tokens.scale", np.array(config.hidden_size**0.5, np_io))], "/model/embed_tokens/Mul")

    length = op("ReduceSum", ["attention_mask", const("one", np.array([1], np.int64))], "/model/attn_mask/ReduceSum", keepdims=0)
    length = op("Sub", [length, "one"], "/model/attn_mask/Sub")
    length = cast(length, TensorProto.INT32, "/model/attn_mask/seqlens_k")
    total = op("Shape", ["attention_mask"], "/model/attn_mask/Shape")
    total = op("Gather", [total, const("one_scalar", np.array(1, np.int64))], "/model/attn_mask/Gather", axis=0)
    total = cast(total, TensorProto.INT32, "/model/attn_mask/total")
    heads, kv, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim

    def per_head(x, module, name, count):
        shape = const(f"heads.{count}", np.array([0, -1, count, dim], np.int64))
        x = norm(op("Reshape", [x, shape], f"{name}/Reshape_1"), module, name)
        x = op("Reshape", [x, const(f"flat.{count}", np.array([0, -1, count * dim], np.int64))], f"{name}/Reshape_2")
        return x

    for i, layer in enumerate(source.model.layers):
        at, attn = f"/model/layers.{i}", layer.self_attn
        kind = config.layer_types[i]
        inv = source.model.rotary_emb.get_buffer(f"{kind}_inv_freq").numpy()
        angles = np.outer(np.arange(config.max_position_embeddings), inv)
        caches = [const(f"cos.{kind}", np.cos(angles).astype(np_io)), const(f"sin.{kind}", np.sin(angles).astype(np_io))]
        h = norm(x, layer.input_layernorm, f"{at}/input_layernorm")
        q = per_head(linear(h, attn.q_proj, f"{at}/attn/q_proj"), attn.q_norm, f"{at}/attn/q_norm", heads)
        k = per_head(linear(h, attn.k_proj, f"{at}/attn/k_proj"), attn.k_norm, f"{at}/attn/k_norm", kv)
        v = linear(h, attn.v_proj, f"{at}/attn/v_proj")
        q = op("RotaryEmbedding", [q, "position_ids", *caches], f"{at}/attn/q_rotary/RotaryEmbedding", domain="com.microsoft", num_heads=heads, rotary_embedding_dim=0)
        k = op("RotaryEmbedding", [k, "position_ids", *caches], f"{at}/attn/k_rotary/RotaryEmbedding", domain="com.microsoft", num_heads=kv, rotary_embedding_dim=0)
        window = config.sliding_window if kind == "sliding_attention" else -1
        h = op(
            "GroupQueryAttention",
            [q, k, v, f"past_key_values.{i}.key", f"past_key_values.{i}.value", length, total],
            f"{at}/attn/GroupQueryAttention",
            [f"{at}/attn/GroupQueryAttention/output_0", f"present.{i}.key", f"present.{i}.value"],
            "com.microsoft", num_heads=heads, kv_num_heads=kv, scale=config.query_pre_attn_scalar**-0.5, do_rotary=0, local_window_size=window,
        )
        h = norm(linear(h, attn.o_proj, f"{at}/attn/o_proj"), layer.post_attention_layernorm, f"{at}/post_attention_layernorm")
        x = op("Add", [x, h], f"{at}/Add_1")
        h = norm(x, layer.pre_feedforward_layernorm, f"{at}/pre_feedforward_layernorm")
        gate, up = linear(h, layer.mlp.gate_proj, f"{at}/mlp/gate_proj"), linear(h, layer.mlp.up_proj, f"{at}/mlp/up_proj")
        h = op("Mul", [op("Gelu", [gate], f"{at}/mlp/act_fn/Gelu", approximate="tanh"), up], f"{at}/mlp/Mul")
        h = norm(linear(h, layer.mlp.down_proj, f"{at}/mlp/down_proj"), layer.post_feedforward_layernorm, f"{at}/post_feedforward_layernorm")
        x = op("Add", [x, h], f"{at}/Add_2")
    x = norm(x, source.model.norm, "/model/final_norm")
    if quantised:
        x = linear(x, source.lm_head, "/lm_head")
    else:
        x = op("MatMul", [x, op("Transpose", ["model.embed_tokens.weight"], "/lm_head/Transpose", perm=[1, 0])], "/lm_head/MatMul")
    op("Cast", [x], "/lm_head/CastToFloat", ["logits"], to=TensorProto.FLOAT)

    def value(name, kind, *shape):
        return helper.make_tensor_value_info(name, kind, shape)

    parts = [(i, part) for i in range(config.num_hidden_layers) for part in ("key", "value")]
    inputs = [value("input_ids", TensorProto.INT64, "batch_size", "sequence_length"), value("attention_mask", TensorProto.INT64, "batch_size", "total_sequence_length")]
    inputs += [value("position_ids", TensorProto.INT64, "batch_size", "sequence_length")]
    inputs += [value(f"past_key_values.{i}.{p}", io, "batch_size", kv, "past_sequence_length", dim) for i, p in parts]
    outputs = [value("logits", TensorProto.FLOAT, "batch_size", "sequence_length", config.vocab_size)]
    outputs += [value(f"present.{i}.{p}", io, "batch_size", kv, "total_sequence_length", dim) for i, p in parts]
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs, inits)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, producer_name="huggingface", ir_version=10, opset_imports=opsets)
