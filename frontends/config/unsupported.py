"""Language models that are known by name and not built here, and which part is missing, for errors to say it."""

from __future__ import annotations

# By ``model_type``. Source: huggingface/transformers 5.24, ``modeling_*.py``, unless a name says another.
MISSING = {
    **dict.fromkeys(
        ("deepseek_v4", "deepseek_ref"),
        "attention to compressed tokens beside a window, several streams of each token, and experts by token number",
    ),
    **dict.fromkeys(
        ("minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text"), "attention to blocks of tokens that an indexer chooses"
    ),
    "kimi_k3": "residuals over blocks of layers, and gates of latent attention",
    "longcat_flash": "experts that compute nothing, and experts that stand beside two layers",
    **dict.fromkeys(("step3", "step3_text", "step3_vl"), "attention whose queries are a product of two matrices"),
    **dict.fromkeys(
        ("bailing_moe_linear", "bailing_moe_v2_5", "bailing_linear"), "linear attention with a norm in groups"
    ),
    **dict.fromkeys(("hunyuan", "hunyuan_v1_large"), "layers that see keys and values of the layer before"),
    **dict.fromkeys(("ernie4_5_vl_moe", "ernie4_5_vl_moe_text"), "experts of text and others of images"),
    **dict.fromkeys(("zamba", "zamba2"), "attention layers that share their weights"),
    "recurrent_gemma": "the real-gated linear recurrent unit",
    **dict.fromkeys(("rwkv", "rwkv5", "rwkv6", "rwkv7", "xlstm"), "its recurrence"),
    **dict.fromkeys(("mllama", "mllama_text_model"), "layers that attend to an image"),
    "paligemma": "prompts whose first part sees both ways",
    "dbrx": "clipped projections",
    "phi4_multimodal": "adapters that images and sound switch on",
    "gpt_neo": "layers that see a window in turns with full ones, without a scale of their scores",
    "deepseek_ocr2": "its encoder of images by a language model",
}
# Older files whose model has another one that is known: model_type -> which.
OTHER_FILES = {
    "chatglm": "zai-org publishes the same weights as *-hf, model_type glm",
    "qwen": "its successors, qwen2 and later, are known",
}
EXPORT = "a graph of it, exported to ONNX, is read without its family: irc compile model.onnx"


def missing_part(model_type: str) -> tuple[str, str] | None:
    """What an unsupported model needs that is not here, and what to do; None where nothing is known of the name.

    >>> missing_part("zamba2")[0]
    'attention layers that share their weights'
    >>> missing_part("llama") is None
    True
    """
    if model_type in OTHER_FILES:
        return "a layout of its own", OTHER_FILES[model_type]
    return (MISSING[model_type], EXPORT) if model_type in MISSING else None
