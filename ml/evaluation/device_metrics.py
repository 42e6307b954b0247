"""The metrics of metrics.py in torch, all images of a batch at once, to score on a GPU."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ml.evaluation.image_scores import ImageScores
from ml.evaluation.metrics import COHERENCE_DEPTH, FURTHER


class _Ranked(NamedTuple):
    """A batch on the device; relevant tags are padded to the `width` of the image with most of them."""

    scores: Tensor  # (b, tags)
    mask: Tensor  # bool (b, width), False in the padding
    tags: Tensor  # (b, width), positions in the tag list
    own: Tensor  # (b, width), the tags' scores
    larger: Tensor  # (b, width), how many scores of the image are larger
    equal: Tensor  # (b, width), how many are equal
    known: Tensor  # (b,), relevant tags


def why_unavailable(device: str) -> str:
    """Why torch cannot use the device here; empty if it can."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def rank_on(
    device: str, into: ImageScores, scores: np.ndarray, rows: np.ndarray, parents: Sequence[int] | np.ndarray
) -> None:
    """Fill `into` for a batch of images, as `ImageScores.add` does. Raises ValueError for a NaN.

    Sums are in float64 and run over padded rows in a fixed order, so that a GPU gives the same results each time.
    """
    r = into.relevance
    counted = np.diff(r.starts)[rows] + r.unseen[rows] > 0
    rows = rows[counted]
    if not len(rows):
        return

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    n_known = np.diff(r.starts)[rows]
    within = np.arange(max(1, int(n_known.max())))
    real = within < n_known[:, None]
    at = np.where(real, r.starts[rows][:, None] + within, 0)  # in `r.tags`
    tags = on_device((r.tags[at] if len(r.tags) else at) * real).long()
    batch = _rank(on_device(scores[counted]), tags, on_device(real), on_device(n_known).double())
    columns = _main(batch, on_device(r.unseen[rows]).double(), into.top_k)
    if into.further:
        stated = on_device((r.stated[at] if len(r.stated) else at > 0) & real)
        columns += _further(batch, stated, on_device(np.asarray(parents, np.int64)))
    table = torch.stack(columns, 1)
    ignoring = torch.ones(table.shape[1], dtype=torch.bool, device=table.device)
    ignoring[len(into.top_k) + 2 : 2 * len(into.top_k) + 4] = False  # unseen tags count there
    table[(batch.known == 0)[:, None] & ignoring] = torch.nan
    into.values[rows, : table.shape[1]] = table.cpu().numpy()
    hits, positions = _chance(batch.larger, batch.equal, batch.known[:, None]), _positions(batch)
    into.hits[at[real]], into.positions[at[real]] = hits.cpu().numpy()[real], positions.cpu().numpy()[real]


def _rank(scores: Tensor, tags: Tensor, mask: Tensor, known: Tensor) -> _Ranked:
    """Compare each relevant tag's score with all scores of its image. Raises ValueError for a NaN."""
    s = scores if scores.dtype == torch.float64 else scores.float()  # exact; half floats cannot be searched
    if bool(s.isnan().any()):
        raise ValueError("scores hold NaN")
    if not s.shape[1]:
        zeros = torch.zeros(tags.shape, dtype=torch.float64, device=s.device)
        return _Ranked(s, mask, tags, zeros, zeros, zeros + 1, known)
    ascending = s.sort(1).values
    own = s.gather(1, tags)
    upper = torch.searchsorted(ascending, own, right=True)
    lower = torch.searchsorted(ascending, own)
    return _Ranked(s, mask, tags, own, (s.shape[1] - upper).double(), (upper - lower).double(), known)


def _main(batch: _Ranked, unseen: Tensor, top_k: Sequence[int]) -> list[Tensor]:
    """The columns of the paper's metrics: unseen tags ignored, then counted as missed."""
    _, mask, _, _, larger, equal, known = batch
    accuracy = [_any_in_top(larger, equal, mask, k) for k in top_k]
    positions = _total(_positions(batch), mask)
    columns = [_total(_chance(larger, equal, known[:, None]), mask) / known, *accuracy, positions / known]
    everything = known + unseen
    missed = unseen * (batch.scores.shape[1] + (unseen + 1) / 2)
    columns += [_total(_chance(larger, equal, everything[:, None]), mask) / everything, *accuracy]
    return [*columns, (positions + missed) / everything]


def _positions(batch: _Ranked) -> Tensor:
    return batch.larger + (batch.equal + 1) / 2


def _chance(larger: Tensor, equal: Tensor, k: Tensor) -> Tensor:
    """Chance that one of `equal` tied tags behind `larger` others is among the k best."""
    return ((k - larger) / equal).clamp(0, 1)


def _total(values: Tensor, mask: Tensor) -> Tensor:
    return values.where(mask, 0).sum(1)


def _any_in_top(larger: Tensor, equal: Tensor, mask: Tensor, k: int) -> Tensor:
    """Chance that at least one relevant tag is among the k best; at most one block of ties straddles k."""
    inside = larger + equal <= k
    sure, straddling = (inside & mask).any(1), (larger < k) & ~inside & mask
    tied = equal.where(straddling, 0).amax(1)
    room = k - larger.where(straddling, 0).amax(1)
    others = tied - straddling.sum(1)
    miss = torch.ones_like(tied)
    for i in range(k):
        step = (others - i).clamp(min=0) / (tied - i).clamp(min=1)
        miss = torch.where(i < room, miss * step, miss)
    return torch.where(sure, 1.0, torch.where(straddling.any(1), 1 - miss, 0.0))


def _further(batch: _Ranked, stated: Tensor, parents: Tensor) -> list[Tensor]:
    """The columns of FURTHER, in its order."""
    s = batch.scores
    if not s.shape[1]:
        return [torch.full_like(batch.known, torch.nan)] * len(FURTHER)
    order = s.argsort(dim=1, descending=True, stable=True)
    top = order[:, :COHERENCE_DEPTH]
    parent = parents[top]
    has_one = parent >= 0
    wrong = has_one & (s.gather(1, parent.clamp(min=0)) < s.gather(1, top))
    incoherent = wrong.sum(1).double() / has_one.sum(1)
    return [_leaf_r_precision(batch, stated), *_hierarchical(batch, order, parents), incoherent, s.amax(1).double()]


def _leaf_r_precision(batch: _Ranked, stated: Tensor) -> Tensor:
    """R-Precision of the stated tags; relevant tags that are not stated are their ancestors and leave the ranking."""
    above, own = (batch.mask & ~stated)[:, None, :], batch.own
    ahead = batch.larger - (above & (own[:, None, :] > own[:, :, None])).sum(2)
    tied = batch.equal - (above & (own[:, None, :] == own[:, :, None])).sum(2)
    n_stated = stated.sum(1).double()
    return _total(_chance(ahead, tied.clamp(min=1), n_stated[:, None]), stated) / n_stated


def _hierarchical(batch: _Ranked, order: Tensor, parents: Tensor) -> list[Tensor]:
    """Precision, recall and F of the R best tags with their ancestors."""
    s, known = batch.scores, batch.known
    best = torch.arange(s.shape[1], device=s.device) < known[:, None]
    chosen = torch.zeros_like(s).scatter(1, order, best.to(s.dtype)) @ _closure(parents).to(s.dtype) > 0
    right = torch.zeros_like(chosen).scatter(1, batch.tags.where(batch.mask, batch.tags[:, :1]), True)
    size, common = chosen.sum(1).double(), (chosen & right).sum(1).double()
    precision, recall = common / size, common / known
    return [precision, recall, torch.where(common > 0, 2 * precision * recall / (precision + recall), 0.0)]


def _closure(parents: Tensor) -> Tensor:
    """For each tag, one row that marks it and its ancestors; bool (tags, tags)."""
    closure = torch.eye(len(parents), dtype=torch.bool, device=parents.device)
    at, climbing = torch.arange(len(parents), device=parents.device), parents.clone()
    while bool((climbing >= 0).any()):
        up = climbing >= 0
        closure[at[up], climbing[up]] = True
        climbing = torch.where(up, parents[climbing.clamp(min=0)], climbing)
    return closure
