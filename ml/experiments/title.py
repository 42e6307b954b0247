"""Rows that read the record's title: the tags of the records with the most similar titles; images are not looked at.

Image and title together are an ensemble of such a row and an image row (late fusion).
"""

from typing import Any

import torch
from torch import Tensor

from ml.baselines import Title
from ml.dataset.split import ImageSplit
from ml.dataset.tag_list import TagList
from ml.dataset.titles import titles_of
from ml.experiments.fit import Job, Splits, keep_scores
from ml.models.card import TextInput
from ml.models.neighbours import votes
from ml.models.sentence_encoder import SentenceTower, encoder
from ml.models.tokens import tokenize
from ml.models.weights import WEIGHTS, find_weights
from ml.training.device import Device
from ml.training.progress import Progress
from pipeline import EVALUATED_SPLITS
from pipeline.files import write_json

CONTEXT = 64  # ours: tokens of a title; the longest of 3,882 real ones has fewer
AT_ONCE = 64  # ours: titles that pass the encoder together


def make_title(row: Title, job: Job, splits: Splits, device: Device, _: Progress) -> dict[str, Any]:
    """Remember the training records' titles, then predict. Raises DataError where the titles are missing."""
    tag_list = splits.tag_list.only(row.facets)
    described = encoder(row.encoder)
    tower = SentenceTower(described, 1, locked=True).eval()
    tower.load_published(find_weights(described.weights, job.weights))
    tower = tower.to(device.torch_device)
    read = TextInput(str(find_weights(described.vocabulary, job.weights)), CONTEXT)

    def vectors(split: ImageSplit) -> Tensor:
        titles = titles_of(splits.dataset, split.record_ids)
        parts = [torch.zeros(0, tower.projection.in_features, device=device.torch_device)]  # a split may be empty
        with torch.inference_mode():
            for start in range(0, len(titles), AT_ONCE):
                tokens = tokenize(titles[start : start + AT_ONCE], read)
                parts.append(tower.encode(tokens.to(device.torch_device)))
        return torch.cat(parts)

    training = splits.get("train")
    features, closed = vectors(training), closed_of(training, tag_list).to(device.torch_device)
    sizes, metrics = [len(tags) for tags in tag_list.facets.values()], {}
    for name in EVALUATED_SPLITS:
        split = splits.get(name)
        queries = vectors(split).split(job.recipe.eval_batch)  # each is compared with every training record
        voted = zip(*(votes(part, features, closed, sizes, row.k) for part in queries), strict=True)
        scores = {facet: torch.cat(parts).cpu().numpy() for facet, parts in zip(tag_list.facets, voted, strict=True)}
        metrics[name] = keep_scores(job, scores, split, tag_list, device)
    millions = sum(parameter.numel() for parameter in tower.encoder.parameters()) / 1e6
    cost = {"parameters_m": millions, "gflop_per_image": None, "ms_per_image": None, "training_s": 0.0}
    if device.first:
        known = WEIGHTS[described.weights]
        stated = {"weights": f"{known.name} from {known.source} ({known.licence})", "reads": "title"}
        made = job.description(tag_list) | stated | {"validation": metrics["validation"], "cost": cost}
        write_json(made, job.folder / "model.json")
    device.wait()
    return cost | {"validation": metrics["validation"]}


def closed_of(split: ImageSplit, tag_list: TagList) -> Tensor:
    """The tags of the split's images, bool, images x tags of all facets side by side."""
    parts = [torch.from_numpy(split.relevant(facet, len(tags))) for facet, tags in tag_list.facets.items()]
    return torch.cat(parts, dim=1)
