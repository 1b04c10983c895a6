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
VOCAB = 512

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
    intermediate_size=96,
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
        **{**SHAPE, "hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 1, "num_hidden_layers": 4},
        tie_word_embeddings=True,
    ),
    "qwen2": lambda: Qwen2Config(**SHAPE, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**SHAPE, head_dim=32, tie_word_embeddings=True),
    "gemma3": lambda: Gemma3TextConfig(
        **{**SHAPE, "num_hidden_layers": 4, "num_key_value_heads": 1},
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=64,
        layer_types=["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
    ),
    "phi3": lambda: Phi3Config(**SHAPE, original_max_position_embeddings=256, tie_word_embeddings=False),
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
    made = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        for a in node.attribute:
            if a.name == "accuracy_level":
                a.i = 1
    names = []
    for l in range(layers + 1):
        if "/model/layers.0/input_layernorm/LayerNorm" in {n.name for n in model.graph.node}:  # the genai builder
            skip = next(n for n in model.graph.node if n.op_type.endswith("LayerNormalization") and n.name in (f"/model/layers.{l}/input_layernorm/LayerNorm", f"/model/layers.{l}/input_layernorm/SkipLayerNorm", f"/model/layers.{l}/final_norm_layernorm/SkipLayerNorm"))
            if l == 0:
                names.append(skip.input[0])
            elif len(skip.output) > 3:
                names.append(skip.output[3])
            else:
                model.graph.node.append(helper.make_node("Add", list(skip.input[:2]), ["golden.last"]))
                names.append("golden.last")
        else:  # optimum
            names.append("/model/embed_tokens/Gather_output_0" if l == 0 else f"/model/layers.{l - 1}/Add_1_output_0")
            if names[-1] not in made:
                raise RuntimeError(f"no {names[-1]} in {path}")
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


def opset14(model):
    """The header that builder versions 0.5 – 0.8 wrote; the nodes are the same."""
    model.opset_import[0].version = 14
    model.ir_version = 7
    return model


WEBGPU = {"provider": "webgpu", "fuse_qk_norm_gqa": "false"}
PLANS = {
    # folder: (config, seed, {file: how it is made})
    "llama": ("llama", 1, {"model": {}, "model_q4": {"precision": "int4"}, "model_q4f16": {"precision": "int4", **WEBGPU, "external": True}}),
    "llama-opset14": ("llama", 1, {"model_q4": {"precision": "int4", "after": opset14}}),
    "smollm": ("smollm", 2, {"model": {"external": True}, "model_q4": {"precision": "int4", "disable_qkv_fusion": "true"}}),
    "qwen2": ("qwen2", 3, {"model": {"disable_qkv_fusion": "true"}, "model_q4": {"precision": "int4", "external": True}, "model_q4f16": {"precision": "int4", **WEBGPU}}),
    "qwen3": ("qwen3", 4, {"model": {}, "model_q4": {"precision": "int4", "shared_embeddings": "true"}}),
    "gemma3": ("gemma3", 5, {"model": {"external": True}, "model_q4f16": {"precision": "int4", **WEBGPU}}),
    "phi3": ("phi3", 6, {"model": {}, "model_q4": {"precision": "int4"}}),
}


def make(name, tok, ids):
    kind, seed, files = PLANS[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = CONFIGS[kind]()
    model = random_model(config, seed)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
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
            built = after(genai(hf, os.path.join(tmp, file), **how))
            path = folder / "onnx" / f"{file}.onnx"
            save_onnx(built, path, external)
            if how["precision"] != "fp32":
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
