"""What `docs/torch.md` says before its tables."""

INTRODUCTION = """\
# Modules of PyTorch

Written by `python -m ircost.frontends.torch.coverage > docs/torch.md`.

```python
import torch
import ircost

model = torch.nn.Sequential(torch.nn.Linear(512, 2048), torch.nn.GELU(), torch.nn.Linear(2048, 512)).eval()
report = ircost.compile(ircost.from_torch(model, (torch.randn(8, 512),)), target="h100")
assert report.macs == 2 * 8 * 512 * 2048
```

`from_torch` runs `torch.export`, keeps the operators of the tables below whole, lets PyTorch decompose all others, and
lowers what is left. It needs the extra: `pip install 'ircost[torch]'`.

- **Shapes** are those of the example inputs. Named axes may be given other extents:
  `from_torch(model, (x,), dynamic_shapes=({0: "batch"},), dims={"batch": 32})`.
- **Weights** are not copied: constants refer to the tensors. A model on the meta
  device takes no memory and can be costed.
- **Names** in the report are the module's paths: `blocks.0.mlp.2`; what a module of your own computes itself has the
  operator behind its path, `blocks.0.add_1`.
- **Composites** stay one op: attention, the norms, softmax, GELU, SiLU, LSTM, GRU.
- The module must be in eval mode. State that it writes is left out, with a note.
- An operator that is not known is an error that names it, how often it occurs, and the module it is in first;
  `allow_opaque=True` takes it without a cost.
- Where data decide a shape (a boolean index, `nonzero`) or a branch, the model is refused.

Each result's type is compared with what PyTorch says. `tests/frontends/test_torch.py` compares values, through our
interpreter, for each family of operators and a dozen models. Models of `transformers` 5 with small configurations that
gave the same numbers (relative tolerance 1e-4): Llama, Mistral, Qwen 3, Gemma 2, Phi, GPT-2, GPT-NeoX, OPT, BLOOM,
Falcon, Mamba, BERT, RoBERTa, DistilBERT, T5's and Whisper's encoders, ViT, CLIP's vision tower, Swin, ConvNeXt, ResNet,
SegFormer, wav2vec 2.0. Mixtral is refused: its experts are an operator of `transformers` itself.

"""
