"""Low-rank adapters in a CLIP model (LoRA, arXiv 2106.09685), by peft: the network stays as it was published."""

from importlib.util import find_spec

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


def merge_adapters(model: nn.Module) -> None:
    """Add each adapter to the weights that it adapts, in place: the network is then as its publisher builds it."""
    if find_spec("peft") is None:  # without it no network has adapters
        return
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())
