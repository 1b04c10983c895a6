"""The tiny random decoders that the fixtures are made of, and what transformers says of them."""

import json

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from transformers import Gemma2Config, Gemma3TextConfig, LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config

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
SPECIAL = ["<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]


def tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(
        CORPUS * 4,
        trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
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
TWO = {**SHAPE, "num_hidden_layers": 2}
GEMMA = dict(num_attention_heads=2, num_key_value_heads=1)

CONFIGS = {
    "llama": lambda: LlamaConfig(**SHAPE, tie_word_embeddings=False),
    "smollm": lambda: LlamaConfig(**{**TWO, "hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 1}, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**SHAPE, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**TWO, head_dim=32, tie_word_embeddings=True),
    # the window is shorter than the prompt: what lies outside it must not be seen
    "gemma3": lambda: Gemma3TextConfig(
        **{**SHAPE, **GEMMA}, head_dim=32, query_pre_attn_scalar=32, sliding_window=8, layer_types=["sliding_attention", "sliding_attention", "full_attention"]
    ),
    # and here longer: onnxruntime-genai 0.5 takes the other layers for the sliding ones
    "gemma2": lambda: Gemma2Config(**{**TWO, **GEMMA}, head_dim=32, query_pre_attn_scalar=32, sliding_window=64),
    "phi3": lambda: Phi3Config(**TWO, original_max_position_embeddings=256, tie_word_embeddings=False),
}


def random_model(kind, seed):
    """Weights large enough that layers differ visibly and the logits are not flat."""
    torch.manual_seed(seed)
    config = CONFIGS[kind]()
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    # Gemma multiplies its embeddings by √width; as large as that a tied head would say the last word over and over.
    embedding = 0.3 / config.hidden_size**0.5 if kind.startswith("gemma") else 0.3
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(torch.randn_like(p) * 0.1)
            elif "embed" in name:
                p.copy_(torch.randn_like(p) * embedding)
            elif p.dim() == 2:
                p.copy_(torch.randn_like(p) * 1.2 / p.shape[1] ** 0.5)
            else:
                p.copy_(torch.randn_like(p) * 0.1)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return model


def first(out):
    return out[0] if isinstance(out, tuple) else out


def reference(model, ids):
    """hidden [L+1, n, dim] of the raw residual stream, logits [1, vocab] of the last position, greedy ids and the smallest lead of one of them over the next best token, in standard deviations of the logits.

    `hidden_states[-1]` of transformers is *after* the final norm, so residuals are taken by hooks on the blocks. The run that gives the
    states reads the answer too, as the lab's does: files that round their activations do so by the largest of the whole run.
    """
    layers, n = model.model.layers, len(ids)
    states = [None] * (len(layers) + 1)

    def keep(l, source):
        return source.register_forward_hook(lambda _m, _i, out: states.__setitem__(l, first(out)[0, :n].clone()))

    with torch.no_grad():
        x = torch.tensor([ids])
        out = model.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=GREEDY, do_sample=False, return_dict_in_generate=True, output_logits=True)
        hooks = [keep(l + 1, layer) for l, layer in enumerate(layers)]
        hooks.append(layers[0].register_forward_pre_hook(lambda _m, args: states.__setitem__(0, args[0][0, :n].clone())))
        logits = model(out.sequences, use_cache=False).logits[0, :n]
        for hook in hooks:
            hook.remove()
    greedy = out.sequences[0, n:].tolist()
    best = torch.stack([l[0].topk(2).values for l in out.logits])
    return torch.stack(states).numpy(), logits[-1:].numpy(), greedy, float((best[:, 0] - best[:, 1]).min() / logits.std())


def patched(model, ids, hidden):
    """[L+1, vocab]: the last row's logits when h[l] at the middle position is replaced by h[l] of position 1."""
    layers, rows = model.model.layers, []
    with torch.no_grad():
        for l in range(len(layers) + 1):

            def replace(h, l=l):
                h[0, len(ids) // 2] = torch.tensor(hidden[l, 1])

            if l == 0:
                hook = layers[0].register_forward_pre_hook(lambda _m, args: replace(args[0]))
            else:
                hook = layers[l - 1].register_forward_hook(lambda _m, _i, out: replace(first(out)))
            row = -1 if l < len(layers) else len(ids) // 2
            rows.append(model(torch.tensor([ids]), use_cache=False).logits[0, row])
            hook.remove()
    return torch.stack(rows).numpy()


def save_golden(folder, ids, hidden, logits, greedy, more=None, suffix=""):
    arrays = {"hidden": hidden, "logits": logits, **(more or {})}
    (folder / f"golden{suffix}.f32").write_bytes(b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays.values()))
    meta = {"ids": ids, "greedy": greedy, **{name: list(a.shape) for name, a in arrays.items()}}
    (folder / f"golden{suffix}.json").write_text(json.dumps(meta) + "\n")
