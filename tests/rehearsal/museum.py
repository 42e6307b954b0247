"""The museum folder of a rehearsal, in the format of docs/museum-folder.md, and its second day.

`python -m tests.rehearsal.museum FOLDER RECORDS` makes one.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.files import whole_file
from pipeline.sandbox import excerpt
from pipeline.sandbox.data import read_csv
from pipeline.sandbox.rendered import render_whole, write_objects, write_packed, write_table
from pipeline.settings import OPEN_RIGHTS, PUBLISHED_COLLECTIONS
from tests.rehearsal.pictures import draw_pictures, file_of
from tests.rehearsal.plan import CHANGED, SUBJECTS, TREES, WITHDRAWN, Plan

VERSION = 1  # of this generator; another one draws again
AAT = "http://vocab.getty.edu/aat/"
FIRST_DAY, SECOND_DAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 10, 5, tzinfo=UTC)
SECOND = "second_day.jsonl"
LANGUAGES = ("ca", "en", "de", "nl", "fr", "es")
COUNTRIES = ("Spain", "United Kingdom", "Germany", "Netherlands", "France", "Austria")


def make_museum(folder: Path, size: int) -> None:
    """The folder with its first day, whole or not at all; a finished one is kept."""
    render_whole(folder, {"rehearsal": VERSION, "size": size}, partial(_write, plan=Plan(size)))


def turn_to_second_day(folder: Path) -> None:
    """Put the records of the second day in the place of the first."""
    with whole_file(folder / "records.jsonl") as file:
        shutil.copyfile(folder / SECOND, file)


def _write(folder: Path, plan: Plan) -> None:
    (folder / "media").mkdir()
    draw_pictures(folder / "media", plan)
    urls = (
        (image_url(plan, number), file_of(number)) for number in range(plan.everything) if plan.fault[number] != "gone"
    )
    write_table(folder / "media.csv", ("url", "file"), sorted(urls))
    write_objects(folder / "entities.jsonl", [])
    write_packed(folder / "aat.nt.gz", _thesaurus(plan))
    writer = Records(plan)
    for name, second in (("records.jsonl", False), (SECOND, True)):
        with (folder / name).open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(item) + "\n" for item in writer.day(second=second))


def _thesaurus(plan: Plan) -> Iterator[str]:
    """The sandbox's excerpt of the AAT, with made-up concepts below it."""
    yield from excerpt.triples()
    empty = dict.fromkeys(next(iter(read_csv(excerpt.EXCERPT_FILE))), "")
    for facet in TREES:
        for concept, label, parent in plan.concepts(facet):
            row = {"id": concept, "kind": "concept", "preferred_parent": parent, "en": label, "ca": f"{label} (ca)"}
            yield from excerpt.subject(empty | row)


def image_url(plan: Plan, number: int) -> str:
    """edm:isShownBy of a record."""
    return f"https://media.house{plan.provider[number]}.example/{number:07d}.jpg"


class Records:
    """The Search API items of the made-up Europeana."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.labels = {f"{AAT}{concept}": label for facet in TREES for concept, label, _ in plan.concepts(facet)}
        self.labels |= {
            f"{AAT}{row['id']}": row["en"] for row in read_csv(excerpt.EXCERPT_FILE) if row["id"] in SUBJECTS
        }
        self.concepts = {facet: [f"{AAT}{concept}" for concept, _, _ in plan.concepts(facet)] for facet in TREES}
        self.material, self.discipline = plan.drawn("material", 20), plan.drawn("discipline", 21)
        self.subject, self.has_subject = plan.rng(22).integers(0, len(SUBJECTS), plan.everything), plan.share(23, 0.3)
        self.collection = plan.rng(24).integers(0, len(PUBLISHED_COLLECTIONS), (plan.everything, 2))
        self.in_two, self.changed = plan.share(25, 0.25), plan.share(26, CHANGED)
        self.withdrawn, self.day_made = plan.share(27, WITHDRAWN), plan.rng(28).integers(0, 700, plan.everything)

    def day(self, *, second: bool) -> Iterator[dict[str, Any]]:
        """The records of a day: on the second some are new, some changed, and some gone."""
        for number in range(self.plan.everything if second else self.plan.size):
            if not (second and self.withdrawn[number]):
                yield self.item(number, second=second)

    def item(self, number: int, *, second: bool) -> dict[str, Any]:
        """One record in the profile `rich`."""
        house, later = int(self.plan.provider[number]), second and (self.changed[number] or number >= self.plan.size)
        of_object = number - int(self.plan.view[number])
        kind, discipline = self.concepts["object type"][self.plan.kind[of_object]], self._discipline(of_object)
        material = self.concepts["material"][self.material[of_object] if not later else self.material[0]]
        subjects = [discipline] + ([f"{AAT}{SUBJECTS[self.subject[of_object]]}"] if self.has_subject[of_object] else [])
        uris, url = list(dict.fromkeys([kind, material, *subjects])), image_url(self.plan, number)
        words = [PUBLISHED_COLLECTIONS[at] for at in self.collection[number][: 1 + int(self.in_two[number])]]
        title = f"{self.labels[kind]} of {self.labels[material]}, {' and '.join(words)}{' (revised)' if later else ''}"
        language = LANGUAGES[house % len(LANGUAGES)]
        updated = (SECOND_DAY if later else FIRST_DAY) + timedelta(
            days=int(self.day_made[number]) % 200 // (100 if later else 1)
        )
        return {
            "id": f"/{90000 + house}/{number:07d}", "type": "IMAGE", "title": [title],
            "dcTitleLangAware": {language: [title]}, "dataProvider": [f"House {house:03d}"],
            "provider": [f"Aggregator {house % 20}"], "country": [COUNTRIES[house % len(COUNTRIES)]],
            "language": [language], "rights": [OPEN_RIGHTS[house % 4] + ("" if house % 4 < 2 else "4.0/")],
            "edmDatasetName": [f"{90000 + house}_Rehearsal"], "edmIsShownAt": [url.removesuffix(".jpg")],
            "edmIsShownBy": [url],
            "edmPreview": [f"https://api.europeana.eu/thumbnail/v2/url.json?uri={quote(url, safe='')}&type=IMAGE"],
            "edmConcept": uris, "edmConceptPrefLabelLangAware": {"en": [self.labels[uri] for uri in uris]},
            "dcTypeLangAware": {"def": [kind]}, "dcSubjectLangAware": {"def": subjects},
            "europeanaCompleteness": number % 8 + 3,
            "timestamp_created": f"{FIRST_DAY - timedelta(days=int(self.day_made[number]) + 1):%Y-%m-%dT%H:%M:%S.000Z}",
            "timestamp_update": f"{updated:%Y-%m-%dT%H:%M:%S.000Z}",
        }  # fmt: skip

    def _discipline(self, number: int) -> str:
        return self.concepts["discipline"][self.discipline[number]]


if __name__ == "__main__":
    make_museum(Path(sys.argv[1]), int(sys.argv[2]))
