"""Tiny random decoders in the hub's layout, with what the reference implementation says of them.

    python tests/reference/make_fixtures.py [name ...]

needs torch, transformers, tokenizers, onnx, onnxruntime and onnxruntime-genai.  Everything is seeded; the files are
committed, so tests need none of this.  Each folder under tests/fixtures/models/ holds

    config.json, tokenizer.json, tokenizer_config.json, generation_config.json
    onnx/model*.onnx (and *.onnx_data where the weights are external)
    golden.json      prompt ids, greedy continuation, and the shapes below
    golden.f32       little-endian float32: hidden [L+1, n, dim], then logits [n, vocab]

Goldens of fp32 files come from transformers.  Its `hidden_states[-1]` is *after* the final norm, so the last residual is
taken by a hook on the last block.  Goldens of quantised files (golden_<dtype>.*) come from native ONNX Runtime, whose
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
    """hidden [L+1, n, dim] of the raw residual stream, logits [n, vocab], greedy ids."""
    last = []
    hook = model.model.layers[-1].register_forward_hook(lambda _m, _i, out: last.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        hook.remove()
        states = [h[0] for h in out.hidden_states[:-1]] + [last[0][0]]
        seq = list(ids)
        for _ in range(GREEDY):
            seq.append(int(model(torch.tensor([seq]), use_cache=False).logits[0, -1].argmax()))
    return torch.stack(states).numpy(), out.logits[0].numpy(), seq[len(ids) :]


def save_golden(folder, hidden, logits, ids, greedy, suffix=""):
    hidden, logits = np.ascontiguousarray(hidden, "<f4"), np.ascontiguousarray(logits, "<f4")
    (folder / f"golden{suffix}.f32").write_bytes(hidden.tobytes() + logits.tobytes())
    meta = {"ids": ids, "greedy": greedy, "hidden": list(hidden.shape), "logits": list(logits.shape)}
    (folder / f"golden{suffix}.json").write_text(json.dumps(meta) + "\n")


def genai(hf, out, precision, provider="cpu", **options):
    """The real onnxruntime-genai model builder."""
    options = {"windowed_kv_cache": "false", **options}
    cmd = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", hf, "-o", out, "-p", precision, "-e", provider]
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


def main():
    wanted = sys.argv[1:]
    tok = tokenizer()
    ids = tok.encode(PROMPT)
    plans = {
        # folder: (config, seed, [(dtype file, precision, external, builder options)])
        "llama": ("llama", 1, [("model", "fp32", False, {}), ("model_external", "fp32", True, {})]),
    }
    for name, (kind, seed, files) in plans.items():
        if wanted and name not in wanted:
            continue
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = random_model(CONFIGS[kind](), seed)
        model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
        hidden, logits, greedy = reference(model, ids)
        save_golden(folder, hidden, logits, ids, greedy)
        with tempfile.TemporaryDirectory() as tmp:
            hf = os.path.join(tmp, "hf")
            model.save_pretrained(hf)
            tok.save_pretrained(hf)
            for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
                shutil.copy(os.path.join(hf, file), folder / file)
            config = json.loads((folder / "tokenizer_config.json").read_text())
            config["chat_template"] = CHAT_TEMPLATE
            (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
            for file, precision, external, options in files:
                built = genai(hf, os.path.join(tmp, file), precision, **options)
                save_onnx(built, folder / "onnx" / f"{file}.onnx", external)
        print(name, "n =", len(ids), sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    main()
