"""The real exporters, each in the Python environment it needs (README.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx

#: interpreters of environments made for exporters that need older packages
GENAI_05 = os.environ.get("GENAI_05_PYTHON", "")
OPTIMUM_1 = os.environ.get("OPTIMUM_1_PYTHON", GENAI_05)
OPTIMUM_2 = os.environ.get("OPTIMUM_2_PYTHON", "")


def run(python, code, *arguments):
    if not python:
        raise SystemExit("an interpreter is missing: see tests/reference/README.md")
    done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-6000:])


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
    """Today's onnxruntime-genai model builder."""
    extra = ["--extra_options", *[f"{k}={v}" for k, v in options.items()]] if options else []
    run(sys.executable, BUILDER, "-i", hf, "-o", out, "-p", precision, "-e", provider, "-c", os.path.join(out, "cache"), *extra)
    return onnx.load(os.path.join(out, "model.onnx"))


def genai_05(hf, out, precision="fp32"):
    """The builder as of 2024: opset 14, IR version 7."""
    code = "import runpy; runpy.run_module('onnxruntime_genai.models.builder', run_name='__main__')"
    run(GENAI_05, code, "-i", hf, "-o", out, "-p", precision, "-e", "cpu", "-c", os.path.join(out, "cache"))
    return onnx.load(os.path.join(out, "model.onnx"))


# torch.onnx.export was the tracing one when these were written.
OPTIMUM = """
import functools, sys, torch
torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
from optimum.exporters.onnx import main_export
main_export(sys.argv[1], output=sys.argv[2], task="text-generation-with-past", opset=int(sys.argv[3]), do_validation=False)
"""


def optimum(hf, out, version, opset=14, quantise=None):
    """optimum's exporter, then the steps of transformers.js' quantisation script."""
    run(OPTIMUM_1 if version == 1 else OPTIMUM_2, OPTIMUM, hf, out, str(opset))
    path = os.path.join(out, "model.onnx")
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
    if quantise == "q4f16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        model = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=False)
    return model


def save_source(model, tok, template, hf):
    """A checkpoint that every one of these packages reads, older ones included."""
    model.save_pretrained(hf)
    tok.save_pretrained(hf)
    about = Path(hf, "tokenizer_config.json")
    known = json.loads(about.read_text())
    known |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, "chat_template": template}
    known.pop("backend", None)
    about.write_text(json.dumps(known, indent=1) + "\n")


def save_onnx(model, path, external):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.with_name(path.name + "_data")
    data.unlink(missing_ok=True)
    if external:
        onnx.save(model, str(path), save_as_external_data=True, location=data.name, size_threshold=1024)
    else:
        onnx.save(model, str(path))
