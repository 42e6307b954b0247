"""The rendered museum: the same from the same seed, and as troublesome as a real one."""

import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from pipeline.files import sha256_of
from pipeline.sandbox.catalogue import COLLECTIONS, DISCIPLINES, KINDS, MATERIALS, SUBJECTS, words
from pipeline.sandbox.data import read_csv
from pipeline.sandbox.drawing.photograph import MOTIFS, SHAPES
from pipeline.sandbox.drawing.pictures import SCENES, TECHNIQUES
from pipeline.sandbox.entities import all_entities
from pipeline.sandbox.excerpt import EXCERPT_FILE
from pipeline.sandbox.folder import MuseumError, MuseumFolder
from pipeline.sandbox.items import item
from pipeline.sandbox.plan import holdings
from pipeline.sandbox.query import Search
from pipeline.sandbox.render import render_museum
from pipeline.sandbox.rights import reusability

FULL = 1500


@pytest.fixture(scope="module")
def full():
    """The demo's whole museum as planned, and its items; nothing is drawn."""
    planned = holdings(340, FULL)
    return planned, [item(holding, 340) for holding in planned]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(drawn_museum, tmp_path: Path):
    render_museum(tmp_path / "again", seed=1, images=40)
    assert sha256_of(drawn_museum(40, seed=1)) == sha256_of(tmp_path / "again") != sha256_of(drawn_museum(40))


def test_a_finished_museum_is_kept_and_an_older_one_replaced(drawn_museum, tmp_path: Path):
    folder = tmp_path / "museum"
    shutil.copytree(drawn_museum(40, seed=1), folder)
    before = (folder / "records.jsonl").stat().st_mtime_ns
    render_museum(folder, seed=1, images=40)
    assert (folder / "records.jsonl").stat().st_mtime_ns == before
    render_museum(folder, seed=2, images=40)
    assert json.loads((folder / "rendered.json").read_text())["seed"] == 2


def test_nothing_of_others_is_overwritten_and_nothing_half_drawn_is_left(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(MuseumError, match="not rendered here"):
        render_museum(tmp_path / "mine", images=40)

    def interrupted(planned):
        yield planned[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_museum(tmp_path / "new", images=40, progress=interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_a_rendered_folder_loads_and_every_keyword_finds_records(museum_folder, museum):
    assert len(list((museum_folder / "media").iterdir())) >= 120
    assert len(museum) > 120
    found = [set(museum.find(Search(keyword, reusability=("open",)))) for keyword in COLLECTIONS]
    assert sum(bool(positions) for positions in found) >= 12
    assert sum(map(len, found)) > len(set().union(*found))  # some records are found by two keywords


def test_images_are_pictures_of_about_400_pixels(museum_folder):
    sizes = set()
    for file in sorted((museum_folder / "media").iterdir()):
        with Image.open(file) as image:
            image.load()
            sizes.add(image.size)
            assert image.format == "JPEG"
            assert 200 <= min(image.size) <= max(image.size) <= 400
    assert len(sizes) > 3


def test_everything_in_the_catalogue_can_be_drawn_and_named():
    known = {row["id"] for row in read_csv(EXCERPT_FILE)}
    for kind in KINDS:
        assert kind.shape in SHAPES
        assert kind.technique in TECHNIQUES
        assert set(kind.materials) | set(kind.second) <= set(MATERIALS)
        assert set(kind.scenes or {}) <= set(SCENES)
        assert {kind.concept, *kind.stated_materials} <= known & set(words())
    assert set(MOTIFS) == set(DISCIPLINES)
    assert {*MATERIALS.values(), *DISCIPLINES.values(), *SUBJECTS.values()} <= known & set(words())


def test_the_excerpt_reaches_the_facets_and_has_the_aats_one_cycle():
    rows = {row["id"]: row for row in read_csv(EXCERPT_FILE)}
    for row in rows.values():
        if row["kind"] == "obsolete":
            assert row["replaced_by"] in rows
            continue
        assert rows[_path(rows, row["id"])[-1]]["kind"] == "facet"
    assert "300212545" in rows["300036794"]["other_parents"].split("|")  # helmets ← <body armor for the head> …
    assert "300036794" in rows["300212545"]["other_parents"].split("|")  # … and back
    assert max(sum(rows[at]["kind"] in ("concept", "") for at in _path(rows, concept)) for concept in rows) >= 6


def test_providers_are_as_the_outer_rule_needs_them(full):
    usable = [i for i in full[1] if _harvested(i)]
    share = {name: n / len(usable) for name, n in Counter(i["dataProvider"][0] for i in usable).items()}
    candidates = {name for name, part in share.items() if 0.02 <= part <= 0.05}
    assert len(share) >= 14
    assert candidates == {
        "Finds Register of the Northern Shires",
        "Arxiu de Plaques de Vidre Maresma Vella",
        "Plankammer Hochfeld",
    }
    assert not [name for name, part in share.items() if 0.019 <= part < 0.022 or 0.046 < part <= 0.054]
    for name in candidates:
        types = Counter(i["dcTypeLangAware"]["en" if name.startswith("Finds") else i["language"][0]][0] for i in usable
                        if i["dataProvider"] == [name])  # fmt: skip
        entropy = -sum(n / types.total() * math.log2(n / types.total()) for n in types.values())
        assert entropy > 3


def test_there_are_sixty_tags_in_four_facets_and_a_long_tail(full):
    counts = _tag_counts([i for i in full[1] if _harvested(i)])
    enough = Counter(facet for (facet, _), n in counts.items() if n >= 10)
    assert enough["object_types"] >= 60
    assert enough["materials"] >= 30
    assert enough["classifications"] >= 10
    assert enough["subjects"] == 8
    assert sum(n < 10 for n in counts.values()) >= 8


def test_the_troubles_of_real_records_are_all_there(full):
    planned, items = full
    uris = Counter(uri for i in items for uri in i.get("edmConcept", []))
    seen = " ".join(uris)
    assert Counter(holding.copy for holding in planned)["exact"] >= 20
    assert all(Counter(holding.copy for holding in planned)[copy] >= 8 for copy in ("jpeg", "crop", "small"))
    assert sum(holding.view > 0 for holding in planned) >= 60
    assert sum(holding.image == "missing" for holding in planned) >= 10  # 404, and a placeholder
    assert sum(holding.image == "dead_original" for holding in planned) >= 10
    assert sum(reusability(i["rights"][0]) != "open" for i in items) >= 20
    assert sum(i["type"] != "IMAGE" for i in items) >= 5
    assert sum("edmConcept" not in i for i in items) >= 20
    assert "data.europeana.eu/concept/base/" in seen
    assert "vocab.getty.edu/page/aat/" in seen
    assert "d-nb.info" in seen
    assert "mimo-db.eu" in seen
    assert any(uri.endswith("300375205") for uri in uris)  # obsolete
    assert not any("300133711" in uri for uri in uris)  # velvet is reached through a Europeana concept only
    assert any({"closeMatch"} <= set(e) and "exactMatch" not in e for e in all_entities())
    assert sum(_types(i) - set(i.get("edmConcept", [])) != set() for i in items) >= 10  # in the proxy only
    overtagged = [i for i in items if i["dataProvider"] == ["Mobilier National"]]
    assert len(overtagged) >= 20
    assert min(len(i["edmConcept"]) for i in overtagged if "edmConcept" in i) >= 10


def test_two_views_are_two_records_of_one_thing(full):
    second = next(holding for holding in full[0] if holding.view == 1)
    first = full[0][second.number - 1]
    assert (first.view, first.thing) == (0, second.thing)
    assert full[1][first.number]["id"] != full[1][second.number]["id"]


def _types(i: dict) -> set[str]:
    return set(i["dcTypeLangAware"].get("def", []))


def _harvested(i: dict) -> bool:
    open_image = i["type"] == "IMAGE" and "edmPreview" in i and reusability(i["rights"][0]) == "open"
    return open_image and "edmConcept" in i and i["dataProvider"] != ["Mobilier National"]


def _path(rows: dict, concept: str) -> list[str]:
    path = [concept]
    while rows[path[-1]]["preferred_parent"]:
        path.append(rows[path[-1]]["preferred_parent"])
    return path


def _tag_counts(items: list[dict]) -> Counter:
    """Closed tags by facet, counted the slow way: every ancestor below the facet's root."""
    rows = {row["id"]: row for row in read_csv(EXCERPT_FILE)}
    twins = {e["id"].rpartition("/")[2]: [uri[-9:] for uri in e.get("exactMatch", [])] for e in all_entities()}
    roots = {
        "subjects": "300191098",
        "materials": "300264091",
        "classifications": "300054134",
        "object_types": "300264092",
    }
    counts: Counter = Counter()
    for i in items:
        tags = set()
        for uri in i["edmConcept"]:
            direct = re.search(r"aat/(?:page/)?(\d{9})", uri.replace("/page/aat/", "/aat/"))
            for concept in [direct[1]] if direct else twins.get(uri.rpartition("/")[2], []):
                path = _path(rows, rows[concept]["replaced_by"] or concept) if concept in rows else []
                facet = next((name for name, root in roots.items() if root in path), None)
                below = path[: path.index(roots[facet])] if facet else []
                tags |= {(facet, at) for at in below if rows[at]["kind"] in ("concept", "")}
        counts.update({tag for tag in tags if tag[0] != "subjects" or tag[1] in SUBJECTS.values()})
    return counts


def test_a_loaded_museum_serves_every_image_it_names(museum: MuseumFolder):
    missing = [
        i["id"]
        for i in (museum.item(at) for at in range(len(museum)))
        if "edmIsShownBy" in i and i["edmIsShownBy"][0] not in museum.media
    ]
    assert 0 < len(missing) < 10
