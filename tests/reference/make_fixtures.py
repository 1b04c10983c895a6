"""Tiny random decoders in the hub's layout, with what the reference implementation says of them.

    python tests/reference/make_fixtures.py [name ...]

needs torch, transformers, tokenizers, onnx, onnxruntime and onnxruntime-genai.  Everything is seeded; the files are
committed, so tests need none of this.  Each folder under tests/fixtures/models/ holds

    config.json, tokenizer.json, tokenizer_config.json, generation_config.json
    onnx/model*.onnx (and *.onnx_data where the weights are external)
    golden.json      prompt ids, greedy continuation, and the shapes below
    golden.f32       little-endian float32: hidden [L+1, n, dim], logits [n, vocab], and of fp32 patched [L+1, vocab]

Goldens of fp32 files come from transformers.  Its `hidden_states[-1]` is *after* the final norm, so residuals
are taken by hooks on the blocks.  Goldens of quantised files (golden_<dtype>.*) come from native ONNX Runtime, whose
residuals are found there by the exporter's own tensor names: a second opinion on the structural search in src/onnx.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from transformers import Gemma3TextConfig, LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "models"
PROMPT = "The river Elbe flows through Dresden. Which river? Die Elbe fließt. 河"
GREEDY = 8
VOCAB = 384

CORPUS = [
    "The river Elbe flows through Dresden and Hamburg to the North Sea.",
    "Which river flows through the town? The answer is in the passage.",
    "Die Elbe fließt durch Dresden und Hamburg in die Nordsee.",
    "El río atraviesa la ciudad. ¿Qué río atraviesa la ciudad?",
    "河流穿过城市。 哪条河? नदी शहर से होकर बहती है। แม่น้ำไหลผ่านเมือง",
]

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(
        CORPUS * 4,
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            special_tokens=["<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


SHAPE = dict(
    vocab_size=VOCAB,
    hidden_size=64,
    intermediate_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=2,
)

CONFIGS = {
    "llama": lambda: LlamaConfig(**SHAPE, tie_word_embeddings=False),
    "smollm": lambda: LlamaConfig(
        **{**SHAPE, "hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 1, "num_hidden_layers": 2},
        tie_word_embeddings=True,
    ),
    "qwen2": lambda: Qwen2Config(**SHAPE, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**{**SHAPE, "num_hidden_layers": 2}, head_dim=32, tie_word_embeddings=True),
    "gemma3": lambda: Gemma3TextConfig(
        **{**SHAPE, "num_attention_heads": 2, "num_key_value_heads": 1},
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=64,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    ),
    "phi3": lambda: Phi3Config(**{**SHAPE, "num_hidden_layers": 2}, original_max_position_embeddings=256, tie_word_embeddings=False),
}


def random_model(config, seed):
    """Weights large enough that layers differ visibly and the logits are not flat."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(torch.randn_like(p) * 0.1)
            elif "embed" in name:
                p.copy_(torch.randn_like(p) * 0.3)
            elif p.dim() == 2:
                p.copy_(torch.randn_like(p) * 1.2 / p.shape[1] ** 0.5)
            else:
                p.copy_(torch.randn_like(p) * 0.1)
    return model


def reference(model, ids):
    """hidden [L+1, n, dim] of the raw residual stream, logits [n, vocab], greedy ids, patched [L+1, vocab].

    patched[l] is the last row's logits when h[l] at the middle position is replaced by h[l] of position 1.
    """
    layers = model.model.layers
    states = [None] * (len(layers) + 1)

    def first(out):
        return out[0] if isinstance(out, tuple) else out

    def keep(l, source):
        return source.register_forward_hook(lambda _m, _i, out: states.__setitem__(l, first(out)[0].clone()))

    with torch.no_grad():
        hooks = [keep(l + 1, layer) for l, layer in enumerate(layers)]
        hooks.append(layers[0].register_forward_pre_hook(lambda _m, args: states.__setitem__(0, args[0][0].clone())))
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        seq = list(ids)
        for _ in range(GREEDY):
            seq.append(int(model(torch.tensor([seq]), use_cache=False).logits[0, -1].argmax()))

        patched = []
        for l in range(len(layers) + 1):

            def replace(h, l=l):
                h[0, len(ids) // 2] = states[l][1]

            if l == 0:
                hook = layers[0].register_forward_pre_hook(lambda _m, args: replace(args[0]))
            else:
                hook = layers[l - 1].register_forward_hook(lambda _m, _i, out: replace(first(out)))
            row = -1 if l < len(layers) else len(ids) // 2
            patched.append(model(torch.tensor([ids]), use_cache=False).logits[0, row])
            hook.remove()
    return torch.stack(states).numpy(), logits.numpy(), seq[len(ids) :], torch.stack(patched).numpy()


def save_golden(folder, ids, hidden, logits, greedy, patched=None, suffix=""):
    arrays = {"hidden": hidden, "logits": logits, **({} if patched is None else {"patched": patched})}
    (folder / f"golden{suffix}.f32").write_bytes(b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays.values()))
    meta = {"ids": ids, "greedy": greedy, **{name: list(a.shape) for name, a in arrays.items()}}
    (folder / f"golden{suffix}.json").write_text(json.dumps(meta) + "\n")


# The builder expects Gemma 3's rope settings as transformers 4 wrote them; 5 nests them by layer type.
BUILDER = """
import runpy, transformers
load = transformers.AutoConfig.from_pretrained.__func__
def patched(cls, *args, **kwargs):
    config = load(cls, *args, **kwargs)
    rope = getattr(config, "rope_parameters", None) or {}
    if "full_attention" in rope:
        config.rope_theta = rope["full_attention"]["rope_theta"]
        config.rope_local_base_freq = rope["sliding_attention"]["rope_theta"]
        config.rope_parameters = {**rope, "rope_type": "default"}
    return config
transformers.AutoConfig.from_pretrained = classmethod(patched)
runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")
"""


def genai(hf, out, precision="fp32", provider="cpu", **options):
    """The real onnxruntime-genai model builder."""
    options = {"windowed_kv_cache": "false", **options}
    cmd = [sys.executable, "-c", BUILDER, "-i", hf, "-o", out, "-p", precision, "-e", provider]
    cmd += ["-c", os.path.join(out, "cache"), "--extra_options", *[f"{k}={v}" for k, v in options.items()]]
    done = subprocess.run(cmd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-6000:])
    return onnx.load(os.path.join(out, "model.onnx"))


def save_onnx(model, path, external):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.with_name(path.name + "_data")
    data.unlink(missing_ok=True)
    if external:
        onnx.save(model, str(path), save_as_external_data=True, location=data.name, size_threshold=1024)
    else:
        onnx.save(model, str(path))


def native(path, layers, ids, config):
    """Hidden states, logits and greedy tokens of a quantised file, from native ONNX Runtime and the exporter's names.

    At accuracy_level 1, as in the lab's precise mode: level 4 rounds activations differently on every machine.
    """
    model = onnx.load(str(path))
    by_name = {n.name: n for n in model.graph.node}
    for node in model.graph.node:
        for a in node.attribute:
            if a.name == "accuracy_level":
                a.i = 1
    names = []
    for l in range(layers + 1):
        if "/model/final_norm/LayerNorm" in by_name:  # the hub's scripts
            names.append("/model/embed_tokens/Mul/output_0" if l == 0 else f"/model/layers.{l - 1}/Add_2/output_0")
        elif "/model/norm/Mul_1" in by_name:  # optimum
            names.append("/model/embed_tokens/Gather_output_0" if l == 0 else f"/model/layers.{l - 1}/Add_1_output_0")
        elif l == 0:  # the genai builder
            names.append(by_name["/model/layers.0/input_layernorm/LayerNorm"].input[0])
        elif l < layers:
            names.append(by_name[f"/model/layers.{l}/input_layernorm/SkipLayerNorm"].output[3])
        else:
            skip = by_name[f"/model/layers.{l}/final_norm_layernorm/SkipLayerNorm"]
            model.graph.node.append(helper.make_node("Add", list(skip.input[:2]), ["golden.last"]))
            names.append("golden.last")
    for i, name in enumerate(names):
        model.graph.node.append(helper.make_node("Cast", [name], [f"golden.{i}"], to=TensorProto.FLOAT))
        model.graph.output.append(helper.make_tensor_value_info(f"golden.{i}", TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds, seq = {}, list(ids)
    inputs = {i.name: i.type for i in session.get_inputs()}
    heads, dim = config.num_key_value_heads, getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for name, kind in inputs.items():
        if name.startswith("past"):
            feeds[name] = np.zeros((1, heads, 0, dim), np.float16 if kind == "tensor(float16)" else np.float32)
    first = None
    for _ in range(GREEDY):
        feeds["input_ids"] = np.array([seq], np.int64)
        feeds["attention_mask"] = np.ones((1, len(seq)), np.int64)
        if "position_ids" in inputs:
            feeds["position_ids"] = np.arange(len(seq), dtype=np.int64)[None]
        logits, *states = session.run(["logits", *[f"golden.{i}" for i in range(layers + 1)]], feeds)
        first = first or (np.concatenate(states), logits[0].astype(np.float32))
        seq.append(int(logits[0, -1].argmax()))
    return *first, seq[len(ids) :]


class Norm(torch.nn.Module):
    def __init__(self, source):
        super().__init__()
        self.weight, self.eps = source.weight, source.variance_epsilon

    def forward(self, x):
        x = x.to(torch.float32)
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Attention(torch.nn.Module):
    def __init__(self, source, config):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = source.q_proj, source.k_proj, source.v_proj, source.o_proj
        self.heads, self.kv, self.dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim

    def forward(self, x, cos, sin, mask, past):
        b, s, _ = x.shape

        def heads(y, n):
            return y.view(b, s, n, self.dim).transpose(1, 2)

        def rope(y):
            half = self.dim // 2
            return y * cos + torch.cat([-y[..., half:], y[..., :half]], -1) * sin

        q = rope(heads(self.q_proj(x), self.heads))
        k = torch.cat([past[0], rope(heads(self.k_proj(x), self.kv))], 2)
        v = torch.cat([past[1], heads(self.v_proj(x), self.kv)], 2)

        def repeat(y):
            n = self.heads // self.kv
            return y[:, :, None].expand(b, self.kv, n, y.shape[2], self.dim).reshape(b, self.heads, y.shape[2], self.dim)

        scores = torch.matmul(q, repeat(k).transpose(2, 3)) / self.dim**0.5 + mask
        out = torch.matmul(torch.softmax(scores, -1, dtype=torch.float32), repeat(v))
        return self.o_proj(out.transpose(1, 2).reshape(b, s, -1)), (k, v)


class Block(torch.nn.Module):
    def __init__(self, source, config):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(source.input_layernorm), Norm(source.post_attention_layernorm)
        self.self_attn, self.mlp = Attention(source.self_attn, config), source.mlp

    def forward(self, x, *rest):
        branch, past = self.self_attn(self.input_layernorm(x), *rest)
        x = x + branch
        return x + self.mlp(self.post_attention_layernorm(x)), past


class Stack(torch.nn.Module):
    def __init__(self, source):
        super().__init__()
        config = source.config
        self.embed_tokens, self.norm = source.embed_tokens, Norm(source.norm)
        self.layers = torch.nn.ModuleList(Block(layer, config) for layer in source.layers)
        self.register_buffer("inv_freq", source.rotary_emb.inv_freq, persistent=False)

    def forward(self, input_ids, attention_mask, position_ids, past):
        x = self.embed_tokens(input_ids)
        s, total = input_ids.shape[1], attention_mask.shape[1]
        angles = position_ids[:, None, :, None].float() * self.inv_freq
        angles = torch.cat([angles, angles], -1)
        low = torch.finfo(x.dtype).min
        ahead = torch.arange(total)[None, :] > torch.arange(total - s, total)[:, None]
        hidden = ahead[None, None] | (attention_mask[:, None, None, :] == 0)
        mask = torch.zeros_like(hidden, dtype=x.dtype).masked_fill(hidden, low)
        out = []
        for layer, kv in zip(self.layers, past):
            x, kv = layer(x, angles.cos(), angles.sin(), mask, kv)
            out.append(kv)
        return self.norm(x), out


class Decoder(torch.nn.Module):
    """A Llama written the way transformers wrote it when optimum traced it: every norm and attention in plain operations."""

    def __init__(self, source):
        super().__init__()
        self.model, self.lm_head = Stack(source.model), source.lm_head

    def forward(self, input_ids, attention_mask, position_ids, *past):
        x, present = self.model(input_ids, attention_mask, position_ids, list(zip(past[::2], past[1::2])))
        return (self.lm_head(x), *[t for kv in present for t in kv])


def optimum(source, out, opset=14, quantise=None):
    """A TorchScript export with optimum's names and axes, then transformers.js' quantisation steps."""
    config = source.config
    layers, heads, dim = config.num_hidden_layers, config.num_key_value_heads, config.head_dim
    past = [torch.randn(1, heads, 3, dim) for _ in range(2 * layers)]
    names = [f"{i}.{part}" for i in range(layers) for part in ("key", "value")]
    inputs = ["input_ids", "attention_mask", "position_ids", *[f"past_key_values.{n}" for n in names]]
    outputs = ["logits", *[f"present.{n}" for n in names]]
    axes = {"input_ids": {0: "batch_size", 1: "sequence_length"}, "attention_mask": {0: "batch_size", 1: "past_sequence_length + 1"}, "position_ids": {0: "batch_size", 1: "sequence_length"}}
    axes |= {f"past_key_values.{n}": {0: "batch_size", 2: "past_sequence_length"} for n in names}
    axes |= {"logits": {0: "batch_size", 1: "sequence_length"}, **{f"present.{n}": {0: "batch_size", 2: "past_sequence_length + 1"} for n in names}}
    path = os.path.join(out, "optimum.onnx")
    with torch.no_grad():
        torch.onnx.export(
            Decoder(source).eval(),
            (torch.tensor([[5, 6]]), torch.ones(1, 5, dtype=torch.int64), torch.tensor([[3, 4]]), *past),
            path, input_names=inputs, output_names=outputs, dynamic_axes=axes, opset_version=opset, dynamo=False, do_constant_folding=True,
        )
    model = onnx.load(path)
    if quantise in ("q4", "q4f16"):
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(model, algo_config=DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, accuracy_level=4))
        quantizer.process()
        model = quantizer.model.model
    if quantise == "q8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(path, path + ".q8", weight_type=QuantType.QInt8, per_channel=True, extra_options={"EnableSubgraph": True})
        model = onnx.load(path + ".q8")
    if quantise in ("q4f16", "fp16"):
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=False)
    return model


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


def opset14(model):
    """The header that builder versions 0.5 – 0.8 wrote; the nodes are the same."""
    model.opset_import[0].version = 14
    model.ir_version = 7
    return model


WEBGPU = {"provider": "webgpu", "fuse_qk_norm_gqa": "false"}
# Query, key and value as three products; the builder packs them into one where the family allows it.
SEPARATE = {"disable_qkv_fusion": "true"}
PLANS = {
    # folder: (config, seed, {file: how it is made})
    "llama": ("llama", 1, {"model": {}, "model_q4": {"precision": "int4", **SEPARATE}, "model_q4f16": {"precision": "int4", **WEBGPU, "external": True}}),
    "llama-opset14": ("llama", 1, {"model_q4": {"precision": "int4", "after": opset14}}),
    "smollm": ("smollm", 7, {"model": {"external": True}, "model_q4": {"precision": "int4", **SEPARATE}}),
    "qwen2": ("qwen2", 3, {"model": SEPARATE, "model_q4": {"precision": "int4", "external": True}, "model_q4f16": {"precision": "int4", **WEBGPU}}),
    "qwen3": ("qwen3", 4, {"model": {}, "model_q4": {"precision": "int4", "shared_embeddings": "true", **SEPARATE}}),
    "gemma3": ("gemma3", 5, {"model": {"external": True}, "model_q4f16": {"precision": "int4", **WEBGPU}}),
    "smollm-optimum": ("smollm", 7, {"model": {"build": optimum}, **{f"model_{q}": {"build": lambda m, out, q=q: optimum(m, out, quantise=q)} for q in ("q4", "q4f16")}, "model_quantized": {"build": lambda m, out: optimum(m, out, opset=18, quantise="q8")}}),
    "gemma3-script": ("gemma3", 5, {"model": {"build": script, "external": True}, **{f"model_{q}": {"build": lambda m, out, q=q: script(m, out, q), "external": True} for q in ("q4", "q4f16")}}),
    "phi3": ("phi3", 6, {"model": {}, "model_q4": {"precision": "int4", **SEPARATE}}),
}


def make(name, tok, ids):
    kind, seed, files = PLANS[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = CONFIGS[kind]()
    model = random_model(config, seed)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    if "model" in files:
        save_golden(folder, ids, *reference(model, ids))
    with tempfile.TemporaryDirectory() as tmp:
        hf = os.path.join(tmp, "hf")
        model.save_pretrained(hf)
        tok.save_pretrained(hf)
        for file in ("config.json", "tokenizer.json", "generation_config.json"):
            shutil.copy(os.path.join(hf, file), folder / file)
        # What transformers.js reads: a class it knows, and the template inside.
        about = json.loads(Path(hf, "tokenizer_config.json").read_text())
        about |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, "chat_template": CHAT_TEMPLATE}
        about.pop("backend", None)
        (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=1) + "\n")
        for file, how in files.items():
            how = {"precision": "fp32", **how}
            external, after = how.pop("external", False), how.pop("after", lambda m: m)
            os.makedirs(os.path.join(tmp, file))
            build = how.pop("build", None)
            built = build(model, os.path.join(tmp, file)) if build else after(genai(hf, os.path.join(tmp, file), **how))
            path = folder / "onnx" / f"{file}.onnx"
            save_onnx(built, path, external)
            if file != "model":
                save_golden(folder, ids, *native(path, config.num_hidden_layers, ids, config), suffix="_" + file.removeprefix("model_"))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(name, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), "bytes", flush=True)


def main():
    tok = tokenizer()
    ids = tok.encode(PROMPT)
    for name in sys.argv[1:] or PLANS:
        make(name, tok, ids)


if __name__ == "__main__":
    main()
