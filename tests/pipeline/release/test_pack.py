"""A release loads with `datasets`, validates with mlcroissant, says what its tables say, and refuses closed rights."""

import csv
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from rdflib import RDF, Graph, URIRef
from rdflib.namespace import DCTERMS, PROV, SKOS

from pipeline import FACETS
from pipeline.files import sha256_of
from pipeline.published.format import as_published, published_tags, read_official_splits
from pipeline.release.card import licence_name
from pipeline.release.diff import release_diff
from pipeline.release.folder import DATASET_SPLITS, DatasetError, write_dataset
from pipeline.release.pack import ReleaseError, ReleaseTables, verify_checksums, write_release
from pipeline.release.released_rows import class_names
from pipeline.settings import ReleaseSettings, Settings
from pipeline.splits.suites import annotated_images, splits_of
from pipeline.tables import TOMBSTONES

SETTINGS = Settings(
    profile="demo", source="test", release=ReleaseSettings(rows_per_part=20, rows_per_group=8, rows_per_hub_group=12)
)


@pytest.fixture(scope="module")
def dataset(museum, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "dataset"
    write_dataset(
        museum.images,
        museum.records,
        museum.record_tags,
        museum.tags,
        museum.splits,
        museum.split_tags,
        folder,
        SETTINGS.release,
    )
    return folder


def tables(museum, **changes) -> ReleaseTables:
    own = {
        "records": museum.records,
        "record_tags": museum.record_tags,
        "tags": museum.tags,
        "split_tags": museum.split_tags,
        "tombstones": TOMBSTONES.empty(),
    }
    return ReleaseTables(**(own | changes))


@pytest.fixture(scope="module")
def release(museum, dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "release"
    write_release(dataset, tables(museum), folder, SETTINGS)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_folder_and_decodes_the_images(release: Path, museum, tmp_path: Path):
    import datasets

    loaded = datasets.load_dataset(str(release), cache_dir=str(tmp_path))
    counts = dict(museum.splits.group_by("split").len().iter_rows())
    assert {split: loaded[split].num_rows for split in loaded} == {s: counts[s] for s in DATASET_SPLITS}
    row = loaded["train"][0]
    assert row["image"].size == (24, 32)
    assert set(row) >= {"record_id", "rights_uri", "attribution", "europeana_url", "request", "materials_paths"}
    for facet in FACETS:
        assert len(row[facet]) == len(row[f"{facet}_labels"])
        assert len(row[f"{facet}_stated"]) == len(row[f"{facet}_paths"])


def code_of_the_card(release: Path, kind: str) -> list[str]:
    """The blocks of code of this kind on the release's card, for this release."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", (release / "README.md").read_text(), re.S)
    return [block.replace("path/to/this/folder", str(release)) for block in blocks]


@pytest.mark.filterwarnings("ignore")
def test_the_python_on_the_card_runs(release: Path, museum, tmp_path: Path, monkeypatch):
    """Loading, streaming with a buffer, and a scan with polars."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    whole, streamed, scanned = code_of_the_card(release, "python")
    names: dict = {}
    exec(whole + streamed, names)
    train = museum.splits.filter(split="train")
    assert {(row["record_id"], row["view"]) for row in names["stream"]} == set(train.select("record_id", "view").rows())
    lines = scanned.strip().splitlines()
    exec("\n".join(lines[:-1]), names)
    assert eval(lines[-1], names)["len"].sum() == train.height


def test_the_query_on_the_card_runs(release: Path):
    import duckdb

    (query,) = code_of_the_card(release, "sql")
    counted = duckdb.sql(query).fetchall()
    rows = pl.read_parquet(release / "data" / "train-*.parquet")
    assert sum(n for _, n in counted) == rows.filter(pl.col(FACETS[0]).list.len() > 0).height > 0


@pytest.mark.filterwarnings("ignore")
def test_classes_are_the_tag_lists_numbers_and_names(release: Path, tmp_path: Path):
    import datasets

    loaded = datasets.load_dataset(str(release), split="train", cache_dir=str(tmp_path)).remove_columns("image")
    listed = json.loads((release / "tag_list.json").read_text())["facets"]
    for facet in FACETS:
        names, ids = loaded.features[f"{facet}_classes"].feature.names, [tag["tag_id"] for tag in listed[facet]]
        assert [name.partition(" (3")[0] for name in names] == [tag["label"] for tag in listed[facet]]
        for row in loaded:
            classes = row[f"{facet}_classes"]
            assert classes == sorted(classes)
            assert {ids[number] for number in classes} == set(row[facet]) & set(ids)


def test_two_tags_of_one_label_are_two_classes():
    tags = [{"label": "copper", "tag_id": "1"}, {"label": "tin", "tag_id": "2"}, {"label": "copper", "tag_id": "3"}]
    assert class_names({"facets": {"materials": tags}}) == {"materials": ["copper (1)", "tin", "copper (3)"]}


@pytest.mark.filterwarnings("ignore")
def test_each_suite_is_a_configuration_with_the_suites_own_splits(release: Path, museum, tmp_path: Path):
    """What a row's lists say is what the suites are run on."""
    import datasets

    settings = SETTINGS.suites
    configurations = datasets.get_dataset_config_names(str(release))
    assert set(configurations) == {"default", *(f"suite_{name}" for name in settings.suites)}
    rows = museum.splits.join(museum.records.select("record_id", "data_provider"), on="record_id")
    rows = rows.sort("record_id", "view")
    images = annotated_images(rows, museum.record_tags, museum.tags)
    keys = rows.select("record_id", "view").rows()
    released = set(rows.filter(pl.col("split").is_in(DATASET_SPLITS)).select("record_id", "view").rows())
    asked = json.loads((release / "suites" / "asked.json").read_text())
    for name, suite in settings.suites.items():
        told = datasets.load_dataset(str(release), f"suite_{name}", split="images", cache_dir=str(tmp_path))
        told = {(row["record_id"], row["view"]): (row["test"], row["left_out"]) for row in told}
        assert told.keys() == released
        for split in splits_of(suite, images, settings.seed):
            in_test = {key for key, (test, _) in told.items() if split.name in test}
            neither = {key for key, (_, left_out) in told.items() if split.name in left_out}
            assert in_test == {keys[at] for at in split.test} & released
            assert released - in_test - neither == {keys[at] for at in split.train} & released
            everything = len(split.asked) == len(images.tag_ids)
            assert asked[name][split.name] == (None if everything else images.tag_ids[split.asked].tolist())


@pytest.mark.filterwarnings("ignore")
def test_mlcroissant_accepts_the_metadata_and_reads_records(release: Path, caplog):
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    metadata = json.loads((release / "croissant.json").read_text())
    assert metadata["conformsTo"][0].endswith("croissant/1.1")
    assert sum(key.startswith("rai:") for key in metadata) >= 12
    record = next(iter(dataset.records("records")))
    assert record["records/record_id"].decode().startswith("/")
    assert record["records/split"].decode() in DATASET_SPLITS
    assert "Could not match" not in caplog.text


def test_labels_and_paths_stand_beside_their_tags(release: Path):
    rows = pl.concat([pl.read_parquet(file) for file in sorted((release / "data").glob("train-*.parquet"))])
    row = rows.filter(pl.col("object_types_stated").list.contains("300100003")).row(0, named=True)
    assert row["object_types"] == ["300100001", "300100002", "300100003"]
    assert row["object_types_paths"] == [["300100001", "300100002", "300100003"]]
    assert row["object_types_labels"][2]["en"] == "amphorae"
    assert row["object_types_labels"][2]["ca"] == "etiqueta 300100003"
    assert row["object_types_labels"][2]["fr"] is None
    assert row["europeana_url"] == "https://www.europeana.eu/item" + row["record_id"]
    assert row["title"].startswith("Item ")


def test_row_groups_stay_small_enough_for_the_viewer(release: Path):
    for file in sorted((release / "data").glob("*.parquet")):
        metadata = pq.ParquetFile(file).metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert set(sizes[:-1]) <= {12}
        assert 0 < sizes[-1] <= 12
        assert metadata.row_group(0).column(0).has_offset_index


def test_the_cards_numbers_are_the_tables(release: Path, museum):
    facts = json.loads((release / "release.json").read_text())
    card = (release / "README.md").read_text()
    kept = museum.splits.filter(pl.col("split") != "left_out")
    assert facts["n_images"] == kept.height
    assert f"{kept.height:,} images of {kept['record_id'].n_unique():,} records held by 5 institutions." in card
    for split in DATASET_SPLITS:
        n = kept.filter(split=split).height
        assert f"| {split} | {n:,} | {100 * n / kept.height:.1f} % |" in card
    for facet in FACETS:
        annotated = museum.record_tags.filter(facet=facet)["record_id"].unique()
        n = kept.filter(pl.col("record_id").is_in(annotated.implode())).height
        assert facts["annotated"][facet] == n
        assert f"(`{facet}`) | {museum.tags.filter(facet=facet).height} | " in card
    by_rights = kept.join(museum.records, on="record_id").group_by("rights_uri").len()
    for uri, n in by_rights.iter_rows():
        assert f"| {licence_name(uri)} | {n:,} | {100 * n / kept.height:.1f} % |" in card
    assert sum(facts["facets_per_image"].values()) == kept.height


def test_the_vocabulary_is_skos_with_one_label_per_language(release: Path, museum):
    graph = Graph().parse(release / "vocabulary.ttl")
    amphorae = URIRef("http://vocab.getty.edu/aat/300100003")
    assert (amphorae, SKOS.broader, URIRef("http://vocab.getty.edu/aat/300100002")) in graph
    assert {str(label) for label in graph.objects(amphorae, SKOS.prefLabel)} == {"amphorae", "etiqueta 300100003"}
    assert len(set(graph.subjects(RDF.type, SKOS.Concept))) == museum.tags.height
    licensed = set(graph.subjects(DCTERMS.license, URIRef("https://opendatacommons.org/licenses/by/1-0/")))
    assert licensed == set(graph.subjects(RDF.type, SKOS.ConceptScheme))


def test_the_provenance_names_requests_and_times(release: Path):
    graph = Graph().parse(release / "provenance.ttl")
    assert len(set(graph.subjects(RDF.type, PROV.Activity))) == 2
    assert "wskey" not in (release / "provenance.ttl").read_text()
    assert set(graph.objects(None, PROV.startedAtTime))


def test_the_published_format_reads_back_equal(release: Path, museum):
    again = read_official_splits(release / "published_format")
    written = as_published(museum.splits, museum.records, museum.record_tags, museum.tags)
    assert published_tags(again).equals(published_tags(written))
    assert again.rows.sort("split", "row").equals(written.rows.sort("split", "row"))


def test_attribution_has_every_record_once(release: Path, museum):
    with (release / "attribution.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    kept = museum.splits.filter(pl.col("split") != "left_out")["record_id"].unique().sort().to_list()
    assert [line["record_id"] for line in lines] == kept
    assert all(line["attribution"] and line["rights_uri"] for line in lines)


def test_checksums_find_what_changed(release: Path, tmp_path: Path):
    import shutil

    copy = Path(shutil.copytree(release, tmp_path / "copy"))
    assert verify_checksums(copy) == []
    (copy / "README.md").write_text("other")
    (copy / "attribution.csv").unlink()
    (copy / "new.txt").write_text("new")
    assert verify_checksums(copy) == [
        "attribution.csv is missing.",
        "new.txt is not part of the release.",
        "README.md has changed.",
    ]


def test_two_releases_of_the_same_tables_are_the_same_bytes(release: Path, museum, dataset: Path, tmp_path: Path):
    write_release(dataset, tables(museum), tmp_path / "again", SETTINGS)
    assert sha256_of(tmp_path / "again") == sha256_of(release)


def test_closed_rights_stop_a_release(museum, dataset: Path, tmp_path: Path):
    first = museum.splits.filter(split="train")["record_id"][0]
    closed = museum.records.with_columns(
        rights_uri=pl.when(pl.col("record_id") == first)
        .then(pl.lit("http://rightsstatements.org/vocab/InC/1.0/"))
        .otherwise("rights_uri")
    )
    with pytest.raises(ReleaseError, match=f"1 records have rights outside the allow-list, for example {first}"):
        write_release(dataset, tables(museum, records=closed), tmp_path / "release", SETTINGS)
    assert not (tmp_path / "release").exists()


def test_a_withdrawn_record_stops_a_release(museum, dataset: Path, tmp_path: Path):
    first = museum.splits.filter(split="train")["record_id"][0]
    gone = TOMBSTONES.frame([{"record_id": first, "withdrawn_at": None, "reason": "gone"}])
    with pytest.raises(ReleaseError, match=f"{first} was withdrawn"):
        write_release(dataset, tables(museum, tombstones=gone), tmp_path / "release", SETTINGS)


def test_a_diff_tells_each_kind_of_change(release: Path, museum, tmp_path: Path):
    train = museum.splits.filter(split="train")["record_id"].to_list()
    withdrawn, moved, relabelled, renamed, added = train[0], train[1], train[2], train[3], None
    added = museum.splits.filter(split="left_out")["record_id"][0]
    which = pl.col("record_id")
    splits = museum.splits.filter(which != withdrawn).with_columns(
        split=pl.when(which == moved)
        .then(pl.lit("validation"))
        .when(which == added)
        .then(pl.lit("train"))
        .otherwise("split")
    )
    record_tags = museum.record_tags.filter(which != relabelled).vstack(
        museum.record_tags.head(1).with_columns(
            record_id=pl.lit(relabelled), facet=pl.lit("subjects"), tag_id=pl.lit("300400001"), stated=pl.lit(True)
        )
    )
    records = museum.records.with_columns(
        attribution=pl.when(which == renamed).then(pl.lit("new credit")).otherwise("attribution")
    )
    dataset = tmp_path / "dataset"
    write_dataset(museum.images, records, record_tags, museum.tags, splits, museum.split_tags, dataset)
    changed = tables(museum, records=records, record_tags=record_tags)
    write_release(dataset, changed, tmp_path / "release", SETTINGS)
    diff = release_diff(release, tmp_path / "release")
    assert diff.counts == {"added": 1, "withdrawn": 1, "changed": 1, "relabelled": 1, "moved": 1}
    found = {row["kind"]: row for row in diff.changes.iter_rows(named=True)}
    assert found["withdrawn"]["record_id"] == withdrawn
    assert (found["moved"]["before"], found["moved"]["after"]) == ("train", "validation")
    assert found["changed"]["after"] == "attribution=new credit"
    assert "subjects=300400001" in found["relabelled"]["after"]
    assert release_diff(release, release).sentence() == "0 added, 0 withdrawn, 0 changed, 0 relabelled, 0 moved"


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("view", pl.lit("1"), "its column view holds large_string; a release has whole numbers there"),
        ("materials", pl.lit("300010900"), "its column materials holds large_string; a release has lists of texts"),
        ("materials", pl.lit([1]), r"its column materials holds large_list<.*int64>; a release has lists of texts"),
        ("title", pl.lit(3.5), "its column title holds double; a release has texts there"),
    ],
    ids=["view", "text for tags", "numbers for tags", "title"],
)
def test_a_release_with_a_column_of_another_type_is_told(release, tmp_path, column, values, said):
    copied = Path(shutil.copytree(release, tmp_path / "release"))
    file = sorted((copied / "data").glob("*.parquet"))[-1]
    pl.read_parquet(file).with_columns(values.alias(column)).write_parquet(file)
    with pytest.raises(DatasetError, match=rf"{file.name} cannot be compared: {said}"):
        release_diff(release, copied)


@pytest.mark.parametrize("position", [0, -1], ids=["the first", "the last"])
def test_a_release_with_a_file_that_is_not_parquet_is_told_by_its_name(release, tmp_path, position):
    copied = Path(shutil.copytree(release, tmp_path / "release"))
    file = sorted((copied / "data").glob("*.parquet"))[position]
    file.write_bytes(b"this is not Parquet")
    with pytest.raises(DatasetError, match=rf"{file.name} cannot be compared: it cannot be read \(Parquet magic bytes"):
        release_diff(release, copied)
