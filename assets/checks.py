"""Asset checks of the stages; a blocking check that fails stops the assets downstream."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dagster as dg
import polars as pl

from assets.engine.asset_metadata import key_of
from assets.engine.builtin_checks import check_result
from assets.engine.project import Project, current_project
from assets.promotion import CHALLENGER
from ml.evaluation.tells import CANNOT_TELL, TELLS, WEAK
from ml.registry.champion import read_contender, worse
from pipeline import FACETS
from pipeline.facets import FACET_OF
from pipeline.images.slices import wanted_in_slice
from pipeline.release.pack import verify_checksums
from pipeline.splits.invariants import (
    broken,
    groups_in_two_splits,
    images_in_two_splits,
    images_not_placed,
    records_in_two_splits,
)
from pipeline.tables import IGNORE_UNSEEN, IMAGES, TABLES
from pipeline.vocabulary.thesaurus import Thesaurus

CHECKS: list[dg.AssetChecksDefinition] = []
# The published splits are taken as they are: what they do not keep is a warning, not a reason to stop.
OURS = current_project().settings.published is None


def check(asset: str, *, blocking: bool = True, after: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Make a function the check of its name. It returns the problems that it finds, one sentence each."""

    def make(function: Callable[[Project], Iterable[str]]) -> Callable[[Project], Iterable[str]]:
        @dg.asset_check(
            asset=key_of(asset),
            name=function.__name__,
            description=function.__doc__,
            blocking=blocking,
            additional_deps=[key_of(name) for name in after],
        )
        def evaluate(project: dg.ResourceParam[Project]) -> dg.AssetCheckResult:
            return check_result([*function(project)], blocking=blocking)

        CHECKS.append(evaluate)
        return function

    return make


def table(project: Project, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    """A stored table, or some of its columns."""
    return TABLES[name].read(project.here(name), columns)


@check("records")
def harvest_found_records(project: Project) -> Iterator[str]:
    """At least one record was found. An empty harvest means a wrong query, not an empty museum."""
    if table(project, "records", ["record_id"]).is_empty():
        asked = ", ".join(project.settings.harvest.collections)
        yield f"No record was found for {asked}: check the collections in the settings, and the museum."


@check("records", blocking=False)
def records_link_to_concepts(project: Project) -> list[str]:
    """At least half of the records link to a concept. Records without one get no tag."""
    uris = table(project, "records", ["concept_uris"])["concept_uris"]
    share = int((uris.list.len() > 0).sum()) / max(1, uris.len())
    return [f"Only {share:.0%} of the records link to a concept."] if share < 0.5 else []


@check("concepts", after=("concept_alignments",))
def every_aligned_concept_is_known(project: Project) -> list[str]:
    """Every AAT id that a record's concept is aligned with is in the thesaurus."""
    known = table(project, "concepts", ["concept_id"])
    missing = table(project, "concept_alignments").join(known, on="concept_id", how="anti")
    pairs = missing.select("uri", "concept_id").iter_rows()
    return [f"{uri} is aligned with {concept}, which is not in concepts." for uri, concept in pairs]


@check("concepts", blocking=False)
def the_thesaurus_is_whole(project: Project) -> list[str]:
    """Every concept has its parents, and so a path to a facet. An outage of the source can leave gaps."""
    report = Thesaurus(table(project, "concepts")).report
    missing = [f"{one} has the parent {parent}, which is not in concepts." for one, parent in report.missing_parents]
    return [*missing, *(f"{orphan} has no preferred parent." for orphan in report.orphans)]


@check("concepts", blocking=False)
def getty_answered(project: Project) -> Iterator[str]:
    """Getty's endpoint answered. While it does not, answers of before are used, and newer concepts may be missing."""
    made = project.made("concepts")
    if made is None or "endpoint_trouble" not in made.metadata:
        return
    told, stale, unknown = made.metadata, made.metadata["stale_answers"], made.metadata["not_asked"]
    if stale:
        yield f"{stale:,} concepts are as Getty answered before, the oldest on {told['oldest_answer']}."
    if unknown:
        yield f"{unknown:,} concepts that the dump does not know could not be asked for."
    yield f"{told['endpoint_trouble']} The next run asks again."


@check("rule_effects", blocking=False)
def every_rule_means_what_it_says(project: Project) -> list[str]:
    """No rule is hidden by another one, or names its concept differently from the AAT.

    A rule whose concept no record reaches is no problem: another harvest may reach it.
    """
    problems = table(project, "rule_effects").drop_nulls("problem")
    wrong = problems.filter(~pl.col("problem").str.contains("no record reaches", literal=True))
    return [f"{row['rule']}: {row['problem']}." for row in wrong.to_dicts()]


@check("ignored_corrections", blocking=False)
def every_correction_was_applied(project: Project) -> list[str]:
    """Every correction of a curator had an effect."""
    ignored = table(project, "ignored_corrections")
    return [f"{row['record_id']} {row['tag_id']} ({row['who']}): {row['problem']}." for row in ignored.to_dicts()]


@check("tags")
def every_tag_has_enough_images(project: Project) -> list[str]:
    """Every tag has at least 10 usable images (paper, section 3)."""
    least = project.settings.curation.min_images_per_tag
    rare = table(project, "tags").filter(pl.col("n_images") < least)
    return [f"Tag {row['tag_id']} has {row['n_images']} images, fewer than {least}." for row in rare.to_dicts()]


@check("tags", blocking=False)
def every_facet_has_tags(project: Project) -> list[str]:
    """Every facet has tags; without tags no model can learn it."""
    present = table(project, "tags", ["facet"])["facet"].unique().to_list()
    return [f"No tag is left in {facet}." for facet in FACETS if facet not in present]


@check("record_tags", after=("records",))
def no_excluded_provider_is_left(project: Project) -> list[str]:
    """No record of an excluded provider is left. The paper excludes Mobilier National for its partly wrong tags."""
    excluded = list(project.settings.curation.excluded_providers)
    kept = table(project, "record_tags", ["record_id"]).unique()
    providers = table(project, "records", ["record_id", "data_provider"])
    left = kept.join(providers, on="record_id").filter(pl.col("data_provider").is_in(excluded))
    return [f"{left.height} records of an excluded provider are left."] if left.height else []


@check("images", after=("selected_records",))
def images_were_fetched(project: Project) -> Iterator[str]:
    """At least half of the wanted images were fetched. Fewer mean an outage."""
    rows, source = table(project, "selected_records"), project.settings.harvest.image_source
    fetched = [folder.name for folder in sorted(project.here("images").iterdir())]  # others may not be fetched yet
    wanted = sum(wanted_in_slice(rows, source, name)[1].height for name in fetched)
    usable = IMAGES.read(project.here("images"), ["image_id"]).height
    if usable == 0 or usable < 0.5 * wanted:
        yield f"{usable:,} usable images of {wanted:,} wanted: check the reasons in fetches, then try again."


@check("images")
def images_are_what_their_sources_serve(project: Project) -> Iterator[str]:
    """A sample of images, downloaded again, is the same as the stored ones. Wrong pictures spoil models silently."""
    from pipeline.images.sources import check_sources

    images = IMAGES.read(project.here("images"), ["image_id", "source_url"])
    if problem := check_sources(images, project.settings.images, project.settings.http).problem:
        yield problem


@check("groups", after=("images",))
def every_image_is_in_one_group(project: Project) -> list[str]:
    """Every image has a group; an image without one could leak between splits."""
    images = IMAGES.read(project.here("images"), ["record_id", "view"])
    alone = images.join(table(project, "groups"), on=["record_id", "view"], how="anti")
    return [f"{alone.height} images have no group, for example {alone.row(0)}."] if alone.height else []


@check("groups", blocking=False)
def no_group_is_large(project: Project) -> list[str]:
    """No group is larger than the settings allow. Large groups tend to be chains of similar pictures, not copies."""
    from pipeline.images.duplicates.near_duplicates import large_groups

    large = large_groups(table(project, "groups", ["group_id"]), project.settings.images)
    return [f"Group {row['group_id']} has {row['n']} images." for row in large.to_dicts()]


@check("splits", blocking=OURS, after=("split_tags", "provider_distances"))
def splits_keep_their_promises(project: Project) -> list[str]:
    """Groups, records and images are in one split each, outer providers only in the outer test, and tags in bounds."""
    names = ("splits", "split_tags", "records", "record_tags", "tags", "provider_distances", "tombstones")
    images = IMAGES.read(project.here("images"), ["record_id", "view", "image_id"])
    given = {name: table(project, name) for name in names}
    return broken(**given, images=images, curation=project.settings.curation, settings=project.settings.splits)


@check("splits_mended", after=("images", "record_tags"))
def mended_splits_do_not_leak(project: Project) -> list[str]:
    """Groups, records and images are in one mended split each, and every image with tags is in one."""
    splits, record_tags = table(project, "splits_mended"), table(project, "record_tags")
    images = IMAGES.read(project.here("images"), ["record_id", "view", "image_id"])
    return [
        *images_not_placed(splits, images, record_tags),
        *groups_in_two_splits(splits),
        *records_in_two_splits(splits),
        *images_in_two_splits(splits, images),
    ]


@check("split_sizes", blocking=False)
def mended_splits_keep_their_sizes(project: Project) -> list[str]:
    """Every mended split has as many images as the published one, to one percent."""
    rows = table(project, "split_sizes").to_dicts()
    return [
        f"The mended {row['split']} has {row['mended']:,} images, the published one {row['pictures']:,}."
        for row in rows
        if abs(row["mended"] - row["pictures"]) > 0.01 * row["pictures"]
    ]


@check("splits", blocking=False)
def the_inner_test_is_large_enough(project: Project) -> list[str]:
    """The inner test has at least 100 images. With fewer, intervals are wide and small differences are noise."""
    images = table(project, "splits", ["split"]).filter(split="inner_test").height
    return [f"The inner test has {images} images."] if images < 100 else []


@check("provider_distances", blocking=False, after=("informativeness",))
def the_outer_test_can_tell(project: Project) -> list[str]:
    """The outer test carries a verdict in every facet. Otherwise no row can be told from another by it."""
    return _lacking(project, "outer_test")


@check("splits", blocking=False, after=("informativeness",))
def the_inner_test_can_tell(project: Project) -> list[str]:
    """The inner test carries a verdict in every facet."""
    return _lacking(project, "inner_test")


def _lacking(project: Project, split: str) -> list[str]:
    """A sentence for each facet in which a test tells nothing or little: what is missing, and what would change it."""
    rows = table(project, "informativeness").filter(pl.col("facet") != "mean", pl.col("tells") != TELLS, split=split)
    names = {"outer_test": "The outer test", "inner_test": "The inner test"}
    words = {WEAK: "is weak", CANNOT_TELL: "cannot tell"}
    return [
        f"{names[split]} {words[row['tells']]} in {FACET_OF[row['facet']].plural}: {row['missing']}"
        for row in rows.sort(pl.col("facet").replace_strict(FACETS, range(len(FACETS)))).to_dicts()
    ]


@check("results")
def the_oracle_is_above_every_row(project: Project) -> list[str]:
    """No row scores above the oracle, which ranks every relevant tag first. A row above it means a wrong metric."""
    values = table(project, "results").filter(metric="r_precision", policy=IGNORE_UNSEEN)
    key = ["split", "facet"]
    oracle = values.filter(baseline="oracle").select(*key, best="value")
    above = values.join(oracle, on=key).filter(pl.col("value") > pl.col("best") + 1e-6)
    return [f"{row['baseline']} has {row['value']} on {row['facet']} of {row['split']}." for row in above.to_dicts()]


@check("controls")
def no_control_is_better(project: Project) -> list[str]:
    """No row that learned nothing is called better than what needs no eyes. One that is means a test that misleads."""
    from ml.evaluation.controls import TRAINED  # numba takes a second to import

    rows = table(project, "controls").filter(pl.col("control") != TRAINED, verdict="better")
    return [f"{row['control']} is called better on {row['facet']} of {row['split']}." for row in rows.to_dicts()]


@check("challenger")
def the_challenger_is_not_worse(project: Project) -> list[str]:
    """The score of the new model is not below the interval of the model in use."""
    challenger = read_contender(project.here("challenger") / CHALLENGER)
    if challenger is None:
        return ["There is no challenger: evaluate the benchmark first."]
    return worse(challenger, read_contender(project.here("champion") / "champion.json"))


@check("release")
def the_release_is_whole(project: Project) -> list[str]:
    """Every file in the release's list of checksums exists and has its checksum."""
    return verify_checksums(project.here("release"))


@check("features", after=("images",))
def every_image_has_features(project: Project) -> Iterator[str]:
    """Every image has features; distances between providers and the search for near-duplicates need them."""
    for described in sorted(project.here("features").iterdir()):  # other slices may not be computed yet
        wanted = IMAGES.read(project.here("images") / described.name, ["image_id"]).unique()
        known = pl.read_parquet(described / "*.parquet", columns=["image_id"])
        missing = wanted.join(known, on="image_id", how="anti").sort("image_id")
        if missing.height:
            yield f"{missing.height} images have no features, for example {missing.row(0)[0]}."
