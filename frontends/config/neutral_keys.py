"""Keys of a ``config.json`` that change no computation of an inference: training, tokens, generation, bookkeeping."""

from __future__ import annotations

from typing import Any

NEUTRAL = frozenset(
    # what made the file
    "architectures auto_map _name_or_path name_or_path transformers_version model_type _commit_hash _attn_implementation "
    "attn_implementation _attn_implementation_internal _flash_attn_2_enabled use_flash_attn use_flash_attention "
    "use_flash_attention_2 flash_attn_2_enabled torchscript return_dict output_attentions output_hidden_states "
    "output_past is_composition task_specific_params problem_type id2label label2id num_labels finetuning_task "
    "custom_pipelines library_name tokenizer_class tokenizer_type processor_class unsloth_version unsloth_fixed "
    "onnx gguf _remove_final_layer_norm _remove_final_layernorm language model_version license dataset_name dataset "
    # tokens
    "bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id mask_token_id unk_token_id decoder_start_token_id "
    "image_token_id image_token_index video_token_id vision_start_token_id vision_end_token_id vision_token_id "
    "boi_token_id eoi_token_id boi_token_index eoi_token_index audio_token_id begin_suppress_tokens suppress_tokens "
    "forced_bos_token_id forced_eos_token_id forced_decoder_ids token_type_embeddings_fixed bos_token eos_token "
    # generation
    "use_cache max_length min_length do_sample num_beams temperature top_k top_p early_stopping length_penalty "
    "no_repeat_ngram_size repetition_penalty num_return_sequences diversity_penalty encoder_no_repeat_ngram_size "
    "typical_p remove_invalid_values return_dict_in_generate output_scores prefix num_beam_groups bad_words_ids "
    "exponential_decay_length_penalty sampler_seed cache_implementation generation_config max_new_tokens "
    "keys_to_ignore_at_inference "
    # training
    "attention_dropout attention_dropout_prob attention_probs_dropout_prob hidden_dropout hidden_dropout_prob dropout "
    "dropout_rate resid_pdrop embd_pdrop attn_pdrop resid_dropout embed_dropout activation_dropout classifier_dropout "
    "layerdrop decoder_layerdrop encoder_layerdrop residual_dropout expert_dropout router_jitter_noise jitter_noise "
    "input_jitter_noise initializer_range initializer_factor init_std initialization_scale initializer_cutoff_factor "
    "router_aux_loss_coef aux_loss_alpha seq_aux output_router_logits router_z_loss_coef router_aux_loss_free "
    "summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj "
    "gradient_checkpointing use_bfloat16 fused_bias_gelu bias_dropout_fusion pretraining_tp slow_but_exact "
    "tensor_parallel ep_size rescale_every time_step_init_scheme time_step_scale time_step_min time_step_max "
    "time_step_floor time_step_limit time_step_rank_init rescale_prenorm_residual n_embed_init dropout_p "
    "apply_spec_augment mask_time_prob mask_time_length mask_time_min_masks mask_feature_prob mask_feature_length "
    "mask_feature_min_masks use_weighted_layer_sum median_filter_length classifier_proj_size scale_fmin scale_fmax "
    "layer_norm_training separate_cls pruned_heads chunk_size_feed_forward cross_attention_hidden_size "
    "use_mamba_kernels use_cudnn mamba_dt_init_floor ignore_index is_training "
    # limits that shape no tensor of a run
    "seq_length max_sequence_length model_max_length n_ctx sequence_length "
    "original_max_position_embeddings rope_theta rope_scaling rope_local_base_freq rope_ratio rotary_emb_base "
    "rotary_base rope_parameters use_dynamic_ntk use_logn_attn partial_theta ".split()
)
# Sections that hold a whole config again, of defaults that transformers writes out.
NOTHING: tuple[Any, ...] = (None, False, "", [], {})


def is_neutral(name: str, value: Any) -> bool:
    """Whether a key may go unread: it is known to change nothing, or its value says that something is not there."""
    return name in NEUTRAL or any(value == nothing and type(value) is type(nothing) for nothing in NOTHING)
