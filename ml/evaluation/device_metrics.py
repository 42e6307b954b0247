"""The metrics of metrics.py in torch, all images of a batch at once: for scores that are scored on a GPU."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ml.dataset.relevance import Relevance


class Scored(Protocol):
    """What `rank_on` fills: `ml.evaluation.image_scores.ImageScores`."""

    relevance: Relevance
    top_k: tuple[int, ...]
    further: bool
    values: np.ndarray
    hits: np.ndarray
    positions: np.ndarray


def lacking(device: str) -> str:
    """Why torch cannot use the device here; empty where it can."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return ""


def rank_on(
    device: str, into: Scored, scores: np.ndarray, rows: np.ndarray, parents: Sequence[int] | np.ndarray
) -> None:
    """Fill `into` for a batch of images, as `ImageScores.add` does. Raises ValueError for a NaN.

    Sums are in float64 and run over padded rows in a fixed order, so that a GPU gives the same figures each time.
    """
    r = into.relevance
    counted = np.diff(r.starts)[rows] + r.unseen[rows] > 0
    rows = rows[counted]
    if not len(rows):
        return
    n_known = np.diff(r.starts)[rows]
    within = np.arange(max(1, int(n_known.max())))
    real = within < n_known[:, None]
    place = np.where(real, r.starts[rows][:, None] + within, 0)
    s = torch.from_numpy(np.ascontiguousarray(scores[counted])).to(device)
    s = s if s.dtype == torch.float64 else s.float()  # exact, and half floats have no search
    if bool(s.isnan().any()):
        raise ValueError("scores hold NaN")

    def on(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    mask, known, unseen = on(real), on(n_known).double(), on(r.unseen[rows]).double()
    tags = on((r.tags[place] if len(r.tags) else place) * real).long()
    larger, equal, own = _places(s, tags)
    hits, positions = _chance(larger, equal, known[:, None]), larger + (equal + 1) / 2
    everything, n_tags = known + unseen, s.shape[1]
    missed = unseen * (n_tags + (unseen + 1) / 2)
    accuracy = [_any_in_top(larger, equal, mask, k) for k in into.top_k]
    places = _total(positions, mask)
    columns = [_total(hits, mask) / known, *accuracy, places / known]
    columns += [_total(_chance(larger, equal, everything[:, None]), mask) / everything, *accuracy]
    columns += [(places + missed) / everything]
    if into.further:
        stated = on((r.stated[place] if len(r.stated) else place > 0) & real)
        columns += _further(s, tags, mask, stated, own, larger, equal, known, on(np.asarray(parents, np.int64)))
    table = torch.stack(columns, 1)
    ignoring = torch.ones(table.shape[1], dtype=torch.bool, device=table.device)
    ignoring[len(into.top_k) + 2 : 2 * len(into.top_k) + 4] = False  # unseen tags count there
    table[(known == 0)[:, None] & ignoring] = torch.nan
    into.values[rows, : table.shape[1]] = table.cpu().numpy()
    into.hits[place[real]], into.positions[place[real]] = hits.cpu().numpy()[real], positions.cpu().numpy()[real]


def _places(s: Tensor, tags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many scores are larger than each relevant tag's, how many equal, and that score itself; shape (b, width)."""
    if not s.shape[1]:
        nothing = torch.zeros(tags.shape, dtype=torch.float64, device=s.device)
        return nothing, nothing + 1, nothing
    ascending = s.sort(1).values
    own = s.gather(1, tags)
    upper = torch.searchsorted(ascending, own, right=True)
    lower = torch.searchsorted(ascending, own)
    return (s.shape[1] - upper).double(), (upper - lower).double(), own


def _chance(larger: Tensor, equal: Tensor, k: Tensor) -> Tensor:
    """Chance that one of `equal` tied tags behind `larger` others is among the k best."""
    return ((k - larger) / equal).clamp(0, 1)


def _total(values: Tensor, mask: Tensor) -> Tensor:
    return values.where(mask, 0).sum(1)


def _any_in_top(larger: Tensor, equal: Tensor, mask: Tensor, k: int) -> Tensor:
    """Chance that at least one relevant tag is among the k best; one block of ties at most straddles k."""
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


def _further(
    s: Tensor,
    tags: Tensor,
    mask: Tensor,
    stated: Tensor,
    own: Tensor,
    larger: Tensor,
    equal: Tensor,
    known: Tensor,
    parents: Tensor,
) -> list[Tensor]:
    """The columns of FURTHER, in its order."""
    from ml.evaluation.metrics import COHERENCE_DEPTH

    n_tags = s.shape[1]
    if not n_tags:
        return [torch.full_like(known, torch.nan)] * 6
    above = (mask & ~stated)[:, None, :]  # true as well, but only because a stated tag is: they leave the ranking
    ahead = larger - (above & (own[:, None, :] > own[:, :, None])).sum(2)
    tied = equal - (above & (own[:, None, :] == own[:, :, None])).sum(2)
    n_stated = stated.sum(1).double()
    leaf = _total(_chance(ahead, tied.clamp(min=1), n_stated[:, None]), stated) / n_stated
    order = s.argsort(dim=1, descending=True, stable=True)
    best = torch.zeros_like(s).scatter(1, order, (torch.arange(n_tags, device=s.device) < known[:, None]).to(s.dtype))
    closed = best @ _closure(parents).to(s.dtype) > 0
    right = torch.zeros_like(closed).scatter(1, tags.where(mask, tags[:, :1]), True)
    size, common = closed.sum(1).double(), (closed & right).sum(1).double()
    precision, recall = common / size, common / known
    f = torch.where(common > 0, 2 * precision * recall / (precision + recall), 0.0)
    top = order[:, :COHERENCE_DEPTH]
    parent = parents[top]
    has_one = parent >= 0
    wrong = has_one & (s.gather(1, parent.clamp(min=0)) < s.gather(1, top))
    incoherent = wrong.sum(1).double() / has_one.sum(1)
    return [leaf, precision, recall, f, incoherent, s.amax(1).double()]


def _closure(parents: Tensor) -> Tensor:
    """Row by row which tags a tag brings with it: itself and all above it; bool (tags, tags)."""
    closure = torch.eye(len(parents), dtype=torch.bool, device=parents.device)
    at, climbing = torch.arange(len(parents), device=parents.device), parents.clone()
    while bool((climbing >= 0).any()):
        up = climbing >= 0
        closure[at[up], climbing[up]] = True
        climbing = torch.where(up, parents[climbing.clamp(min=0)], climbing)
    return closure
