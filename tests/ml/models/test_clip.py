"""CLIP's loss and temperature: micro-batches change neither loss nor gradients; the temperature leaves its bound."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from ml.models.clip import MOST_SCALE
from ml.training.gradients import add_gradients
from ml.training.recipe import Recipe
from tests.ml.models.clip_steps import (
    HERE,
    PAIRS,
    gradients_of,
    in_two_processes,
    micro_batches,
    pairs,
    small_clip,
)

PUBLISHED_SCALE = torch.tensor(MOST_SCALE).log().half().float()  # as float16 files hold it: a little above the bound


def test_the_temperature_leaves_its_bound_and_never_passes_it():
    """Texts that do not fit their images ask for a smaller scale."""
    model = small_clip()
    model.logit_scale = torch.nn.Parameter(PUBLISHED_SCALE.clone())
    optimizer = torch.optim.AdamW([model.logit_scale], lr=0.01, weight_decay=0.0)
    add_gradients(model, model, [pairs()], Recipe(), HERE)
    assert model.logit_scale.grad is not None
    assert model.logit_scale.grad > 0
    optimizer.step()
    model.after_step()
    assert model.logit_scale.item() == pytest.approx(PUBLISHED_SCALE.item() - 0.01, abs=1e-4)
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    model.after_step()
    assert model(pairs())[2].item() == pytest.approx(MOST_SCALE, rel=1e-6)


def test_the_scale_of_a_siglip_has_no_bound():
    """Published SigLIPs have scales above 100."""
    model = small_clip(bias=-10.0)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(117.0))
    model.after_step()
    assert model(pairs())[2].item() == pytest.approx(117.0, rel=1e-5)


def test_the_loss_of_a_siglip_is_that_of_its_paper():
    """arXiv 2303.15343, algorithm 1, with the bias; scores are the log of the sigmoid of each pair."""
    model, batch = small_clip(bias=-2.0), pairs()
    images, texts, scale, bias = model(batch)
    logits = scale * images @ texts.T + bias
    labels = 2 * torch.eye(PAIRS) - 1
    expected = -functional.logsigmoid(labels * logits).sum() / PAIRS
    found = model.loss((images, texts, scale, bias), batch, model.weights(batch))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("positives", ["pairs", "same_text"])
@pytest.mark.parametrize("bias", [None, -2.0])
def test_micro_batches_keep_all_negatives(positives: str, bias: float | None):
    """Loss to 1e-5 and gradients to 1e-4, in one, two and four micro-batches."""
    whole, gradients = gradients_of(1, positives, bias)
    for accumulate in (2, 4):
        loss, again = gradients_of(accumulate, positives, bias)
        assert loss == pytest.approx(whole, abs=1e-5)
        for name, gradient in gradients.items():
            assert torch.allclose(again[name], gradient, atol=1e-4), name


def test_micro_batches_keep_all_negatives_on_two_processes(tmp_path: Path):
    whole, gradients = gradients_of(1, "pairs", None)
    in_two_processes(tmp_path)
    for accumulate in (1, 2, 4):
        found = load_file(tmp_path / f"{accumulate}.safetensors")
        assert found.pop("loss").item() == pytest.approx(whole, abs=1e-5)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            assert torch.allclose(found[name], gradient, atol=1e-4), (accumulate, name)


def test_both_passes_drop_the_same_units_and_move_running_statistics_once():
    model, direct = (small_clip(dropout=0.5) for _ in range(2))
    batches = micro_batches(pairs(), 2)
    torch.manual_seed(5)
    outputs = [direct(batch) for batch in batches]
    joined = tuple(torch.cat(part) if part[0].ndim else part[0] for part in list(zip(*outputs, strict=True))[:3])
    direct.loss((*joined, None), pairs(), torch.tensor([float(PAIRS)])).backward()
    torch.manual_seed(5)
    add_gradients(model, model, batches, Recipe(), HERE)
    for (name, one), other in zip(model.named_parameters(), direct.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6), name
    for (name, one), other in zip(model.named_buffers(), direct.buffers(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-6), name
