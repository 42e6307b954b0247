"""The paper's heads trained on components of stored features: a full batch, a fixed number of steps, a fixed seed."""

import numpy as np
import torch
from torch import Tensor, nn

from ml.models.heads import HEADS
from ml.models.heads.head import Head
from ml.suites.task import Scores, Task

STEPS = 80
LEARNING_RATE = 0.03
DECAY = 0.05


def train_heads(task: Task, head: str, class_weights: bool) -> Scores:
    """Log-probabilities of every tag for the test images; 0 in a facet without a training image."""
    train, test = (torch.from_numpy(part) for part in task.components)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        return {facet: _train(task, facet, HEADS[head], class_weights, train, test) for facet in task.collection.facets}


def _train(task: Task, facet: str, kind: type[Head], class_weights: bool, train: Tensor, test: Tensor) -> np.ndarray:
    truth = task.truth(facet)
    annotated = truth.any(1)
    if not annotated.any():
        return np.zeros((len(test), truth.shape[1]), np.float32)
    tags = task.collection.tags(facet, task.split.train)
    head = kind(train.shape[1], tags, class_weights)
    head.start_at_prior(tags, int(annotated.sum()))
    inputs, closed = train[torch.from_numpy(annotated)], torch.from_numpy(truth[annotated])
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        _loss(head, inputs, closed).backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        return head.log_scores(head(test)).numpy()


def _loss(head: nn.Module, inputs: Tensor, closed: Tensor) -> Tensor:
    assert isinstance(head, Head)
    drawn = torch.multinomial(closed.float(), 1)[:, 0]  # one random tag of every image and step, as in the paper
    terms = head.sums(head(inputs), closed, drawn) / head.weights(closed, drawn).clamp(min=1e-8)
    return terms.sum()
