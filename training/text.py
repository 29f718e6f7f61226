"""A small CLIP tokenizer and text encoder, in the format of Stable Diffusion's."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from prompts import corpus

LENGTH, WIDTH, VOCABULARY = 32, 128, 1600
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE as CLIP's: every text has tokens, the words of the looks have one each."""
    reference = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = reference.normalizer, reference.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(corpus(), trainer)
    merges = [tuple(m) for m in learner_merges(learner)]
    tokens = alphabet + [a + "</w>" for a in alphabet]
    tokens += [t for t in ("".join(m) for m in merges) if t not in set(tokens)]
    vocabulary = {t: i for i, t in enumerate(dict.fromkeys([*tokens, START, END]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def learner_merges(learner: Tokenizer) -> list[list[str]]:
    import json

    merges: list[list[str]] = json.loads(learner.to_str())["model"]["merges"]
    return merges


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
        num_attention_heads=4, projection_dim=WIDTH, max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)
