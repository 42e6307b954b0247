"""Low-rank adapters in a CLIP model (LoRA, arXiv 2106.09685), by peft: the network stays as it was published."""

from torch import nn

from ml.models.weights import WeightsError

# The layers of a transformer's MLP and of timm's attention. open_clip's own attention is no linear layer.
LAYERS = ("c_fc", "c_proj", "fc1", "fc2", "qkv", "q_proj", "v_proj", "query", "value")


def add_adapters(model: nn.Module, rank: int) -> None:
    """Freeze the model, but for the scale of its similarities, and add trained adapters of that rank, in place.

    Raises WeightsError when peft is not installed, or the network has no layer of a known name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise WeightsError("Adapters need the package peft: install `eufcc[lora]`.") from error
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    known = sorted(names & set(LAYERS))
    if not known:
        raise WeightsError(f"The network has no layer that can take adapters; known names are {', '.join(LAYERS)}.")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=known), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name.rpartition(".")[2] in ("logit_scale", "logit_bias"))
