"""Tiny random decoders in the hub's layout, with what the reference implementation says of them.

    python tests/reference/make_fixtures.py [name ...]

What it needs: README.md. Everything is seeded; the files are committed, so tests need none of this. Each folder under
tests/fixtures/models/ holds

    config.json, tokenizer.json, tokenizer_config.json, generation_config.json
    onnx/model*.onnx (and *.onnx_data where the weights are external)
    golden.json, golden_<dtype>.json   prompt ids, greedy continuation, and the shapes below
    golden.f32, golden_<dtype>.f32     little-endian float32: hidden [L+1, n, dim], logits [1, vocab] of the last position,
                                       and of fp32 patched [L+1, vocab]

All goldens are transformers' own, in float32: of fp32 files those of the model that was exported; of every other file those of the
same model with the file's own weights, unpacked, put back into it (weights.py). The 8-bit file rounds its activations by the
definition of its operators, and so does its reference.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from exporters import genai, genai_05, optimum, save_onnx, save_source  # noqa: E402
from hub_script import script  # noqa: E402
from tiny import CHAT_TEMPLATE, PROMPT, SPECIAL, patched, random_model, reference, save_golden, tokenizer  # noqa: E402
from weights import with_weights_of  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "models"


def today(precision="fp32", **options):
    return lambda model, hf, out: genai(hf, out, precision, **options)


def in_2024(precision="fp32"):
    return lambda model, hf, out: genai_05(hf, out, precision)


def traced(version, **options):
    return lambda model, hf, out: optimum(hf, out, version, **options)


def by_hand(dtype="fp32"):
    return lambda model, hf, out: script(model, out, dtype)


WEBGPU = {"provider": "webgpu", "fuse_qk_norm_gqa": "false"}
# Query, key and value as three products; the builder packs them into one where the family allows it.
SEPARATE = {"disable_qkv_fusion": "true"}
# Weights beside the graph.
EXTERNAL = {"llama/model_q4f16", "smollm/model", "qwen2/model_q4", "gemma3/model", "gemma3-script/model", "gemma3-script/model_q4", "gemma3-script/model_q4f16"}
PLANS = {
    # folder: (config, seed, {file: how it is made})
    "llama": ("llama", 34, {"model": today(), "model_q4": today("int4", **SEPARATE), "model_fp16": today("fp16", **WEBGPU), "model_q4f16": today("int4", **WEBGPU)}),
    "llama-opset14": ("llama", 34, {"model": in_2024(), "model_q4": in_2024("int4")}),
    "smollm": ("smollm", 29, {"model": today(), "model_q4": today("int4", **SEPARATE), "model_q4f16": today("int4", **WEBGPU)}),
    "smollm-optimum": (
        "smollm", 29,
        {"model": traced(1), "model_quantized": traced(1, opset=18, quantise="q8"), "model_q4": traced(2, quantise="q4"), "model_q4f16": traced(2, quantise="q4f16")},
    ),
    "qwen2": ("qwen2", 8, {"model": today(**SEPARATE), "model_q4": today("int4"), "model_q4f16": today("int4", **WEBGPU)}),
    "qwen3": ("qwen3", 12, {"model": today(), "model_q4": today("int4", shared_embeddings="true", **SEPARATE), "model_q4f16": today("int4", **WEBGPU)}),
    # The norms of query and key inside the attention operator: the builder's default for WebGPU, which alone can run it.
    "qwen3-fused": ("qwen3", 12, {"model_q4": today("int4", provider="webgpu", use_webgpu_fp32="true")}),
    # The builder's default for the CPU bounds the caches of sliding layers; the 4-bit file is such a one.
    "gemma3": ("gemma3", 75, {"model": today(windowed_kv_cache="false"), "model_q4": today("int4"), "model_q4f16": today("int4", **WEBGPU)}),
    "gemma3-script": ("gemma3", 75, {"model": by_hand(), "model_q4": by_hand("q4"), "model_q4f16": by_hand("q4f16")}),
    "gemma2-opset14": ("gemma2", 74, {"model": in_2024(), "model_q4": in_2024("int4")}),
    "phi3": ("phi3", 1, {"model": today(), "model_q4": today("int4", **SEPARATE), "model_q4f16": today("int4", **WEBGPU)}),
}


def check_words(name, greedy, lead):
    """A golden says something only where words differ, none of them ends the answer, and rounding cannot swap two of them."""
    print(f"  {name}: greedy {greedy}, least lead {lead:.3f}", flush=True)
    needed = 0.02 if name.endswith(("16", "quantized")) else 1e-3
    assert len(set(greedy)) >= 4 and min(greedy) >= len(SPECIAL) and lead > needed, f"{name} needs another seed"


def make(name, tok, ids):
    kind, seed, files = PLANS[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = random_model(kind, seed)
    with tempfile.TemporaryDirectory() as tmp:
        hf = f"{tmp}/hf"
        save_source(model, tok, CHAT_TEMPLATE, hf)
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copy(f"{hf}/{file}", folder / file)
        for file, build in files.items():
            out = f"{tmp}/{file}"
            Path(out).mkdir()
            path = folder / "onnx" / f"{file}.onnx"
            save_onnx(build(model, hf, out), path, f"{name}/{file}" in EXTERNAL)
            source = model if file == "model" else with_weights_of(random_model(kind, seed), path, rounded=True)
            hidden, logits, greedy, lead = reference(source, ids)
            check_words(f"{name}/{file}", greedy, lead)
            more = {"patched": patched(model, ids, hidden)} if file == "model" else {}
            save_golden(folder, ids, hidden, logits, greedy, more, suffix=file.removeprefix("model"))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(name, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()), "bytes", flush=True)


def main():
    torch.manual_seed(0)
    tok = tokenizer()
    ids = tok.encode(PROMPT)
    for name in sys.argv[1:] or PLANS:
        make(name, tok, ids)


if __name__ == "__main__":
    main()
