"""Exports trained checkpoints with onnxruntime-genai's model builder into public/models/<name>/, in the hub's layout.

    python training/export.py                      # all that exist
    python training/export.py --only passage-post

Each file is one self-contained .onnx (the builder's external data folded in). Files and their SHA-256 go into
public/models/index.json, the catalogue of what is bundled.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from transformers import AutoConfig

HERE = Path(__file__).parent
RUNS = HERE / "runs"
MODELS = HERE.parent / "public" / "models"
# name, run folder, stage, what files. Comparisons use q4, which all have; the rest is chosen to keep the repository small
SERIES = [
    ("passage-base", RUNS / "parallel", "base", ["fp16", "q4"]),
    ("passage-post-1", RUNS / "post" / "checkpoint-1", "checkpoint", ["q4"]),
    ("passage-post-2", RUNS / "post" / "checkpoint-2", "checkpoint", ["q4"]),
    ("passage-post-3", RUNS / "post" / "checkpoint-3", "checkpoint", ["q4"]),
    ("passage-post", RUNS / "post", "post-trained", ["fp32", "q4"]),
]
FILE = {"fp32": "model.onnx", "fp16": "model_fp16.onnx", "q4": "model_q4.onnx"}


def build(source: Path, dtype: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(
            [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", tmp]
            + ["-p", {"q4": "int4"}.get(dtype, dtype), "-e", "webgpu" if dtype == "fp16" else "cpu", "-c", tmp + "/cache"]
            # one table for embedding and head, as in the checkpoint; int4 with exact activations, the same on every device
            + ["--extra_options", "shared_embeddings=true"]
            + (["int4_accuracy_level=1", "int4_block_size=32", "int4_is_symmetric=true"] if dtype == "q4" else []),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        model = onnx.load(f"{tmp}/model.onnx")  # brings the external data in
        onnx.save(model, str(out), save_as_external_data=False)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--only")
    args = ap.parse_args()
    index_file = MODELS / "index.json"
    index = json.loads(index_file.read_text()) if index_file.exists() else []
    cards = {c["ref"]["id"]: c for c in index}
    for step, (name, source, stage, dtypes) in enumerate(SERIES):
        if (args.only and args.only != name) or not (source / "model.safetensors").exists():
            continue
        out = MODELS / name
        (out / "onnx").mkdir(parents=True, exist_ok=True)
        for f in ("config.json", "generation_config.json"):
            shutil.copy(source / f, out / f)
        for f in ("tokenizer.json", "tokenizer_config.json"):
            data = json.loads((RUNS / "tokenizer" / f).read_text("utf-8"))
            (out / f).write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
        if stage == "base":
            # a base model has no turns; without a template the lab asks it by completion
            t = json.loads((out / "tokenizer_config.json").read_text())
            t.pop("chat_template")
            (out / "tokenizer_config.json").write_text(json.dumps(t, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
        config = AutoConfig.from_pretrained(source)
        sizes, files = {}, []
        for dtype in dtypes:
            target = out / "onnx" / FILE[dtype]
            build(source, dtype, target)
            sizes[dtype] = target.stat().st_size
        for path in sorted(p for p in out.rglob("*") if p.is_file() and p.suffix in (".onnx", ".json")):
            data = path.read_bytes()
            files.append({"path": str(path.relative_to(out)), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        cards[f"bundled:{name}"] = {
            "ref": {"id": f"bundled:{name}"},
            "title": {"passage-base": "Passage base", "passage-post": "Passage post-trained"}.get(name, f"Passage, checkpoint {step}"),
            "stage": stage,
            "pair": "passage",
            "step": step,
            "parameters": 3525280,
            "layers": config.num_hidden_layers,
            "width": config.hidden_size,
            "bytes": sizes,
            "languages": ["en", "de", "es", "vi", "zh", "hi", "ar", "el", "ro", "ru", "th", "tr"],
            "license": "MIT",
            "bundled": True,
            "note": "A demonstration in a synthetic world: it knows only that world's words.",
            "files": files,
        }
        print(name, sizes, flush=True)
    order = [f"bundled:{s[0]}" for s in SERIES]
    MODELS.mkdir(parents=True, exist_ok=True)
    index_file.write_text(json.dumps([cards[k] for k in order if k in cards], indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
