"""Every Parquet table of the dataset: columns, meaning, key. `pipeline/parquet.py` writes and reads them."""

from dataclasses import replace

import pyarrow as pa

from pipeline.facets import FACETS
from pipeline.parquet import Column, Table

STRING = pa.string()
STRINGS = pa.list_(pa.string())
TIME = pa.timestamp("us", tz="UTC")
BY_LANGUAGE = pa.list_(pa.struct([("language", STRING), ("text", STRING)]))  # sorted by language, then text
RECORD_ID = Column("record_id", STRING, "Europeana's id")
IMAGE_KEY = (RECORD_ID, Column("view", pa.int16(), "0 for the record's main image"))
TAG_ID = Column("tag_id", STRING, "nine-digit AAT id")
FACET = Column("facet", STRING, "the tag's facet")
IGNORE_UNSEEN = "ignore_unseen"  # policy of results: tags without training images are left out (paper)
COUNT_UNSEEN = "count_unseen"  # ours: they count as missed, behind every tag of the list
SCORED = (
    Column("run", STRING, "hash of the splits and tag list the figures belong to"),
    Column("baseline", STRING, "key of the baseline"),
    Column("seed", pa.int64(), "seed of the training"),
    Column("split", STRING, "inner_test, outer_test or validation"),
)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", STRING)])  # what `datasets` reads as an Image

RECORDS = Table(
    "records",
    "One record of Europeana found by a harvest.",
    ("record_id",),
    (
        Column("record_id", STRING, "Europeana's id, `/dataset/local`"),
        Column("collections", STRINGS, "keyword collections that found it, sorted"),
        Column("dataset", STRING, "edm:datasetName"),
        Column("data_provider", STRING, "the institution that holds the object (edm:dataProvider)"),
        Column("provider", STRING, "the aggregator that delivered it (edm:provider)"),
        Column("country", STRING, "country of the data provider"),
        Column(
            "rights_uri", STRING, "edm:rights in one spelling: http, slash at the end, no language, no jurisdiction"
        ),
        Column("attribution", STRING, "what must be said beside the image: title, makers, holder, licence"),
        Column("titles", BY_LANGUAGE, "dc:title; language `def` where none is given"),
        Column("image_url", STRING, "edm:isShownBy"),
        Column("thumbnail_url", STRING, "edm:preview"),
        Column("landing_page", STRING, "edm:isShownAt"),
        Column("concept_uris", STRINGS, "concepts linked to the record, as written there, sorted"),
        Column("type_uris", STRINGS, "URIs stated as dc:type; also those that are no linked concept"),
        Column("subject_uris", STRINGS, "URIs stated as dc:subject; likewise"),
        Column("literal_terms", BY_LANGUAGE, "dc:type and dc:subject given in words, for curators"),
        Column("created_at", TIME, "timestamp_created"),
        Column("updated_at", TIME, "timestamp_update"),
        Column("harvested_at", TIME, "the moment its harvest declares: when it began, or what settings say"),
        Column("request", STRING, "the search that found it, without paging and key"),
    ),
)

TOMBSTONES = Table(
    "tombstones",
    "One record that Europeana has withdrawn; it is in no later split.",
    ("record_id",),
    (
        RECORD_ID,
        Column("withdrawn_at", TIME, "when it was first missed"),
        Column("reason", STRING, "why it counts as withdrawn"),
    ),
)

CONCEPTS = Table(
    "concepts",
    "One subject of the AAT that a record links to, or an ancestor of one.",
    ("concept_id",),
    (
        Column("concept_id", STRING, "nine-digit AAT id"),
        Column("kind", STRING, "concept, guide_term, hierarchy, facet or obsolete"),
        Column("facet", STRING, "the facet it falls under, or null"),
        Column("preferred_parent", STRING, "gvp:broaderPreferred"),
        Column("parents", STRINGS, "every gvp:broader, sorted"),
        Column("labels", BY_LANGUAGE, "preferred labels"),
        Column("label_sources", BY_LANGUAGE, "languages whose label is not the AAT's own, with where it comes from"),
        Column("alt_labels", BY_LANGUAGE, "alternative labels"),
        Column("scope_note", BY_LANGUAGE, "scope notes"),
        Column("replaced_by", STRING, "dct:isReplacedBy of an obsolete subject"),
    ),
)

CONCEPT_ALIGNMENTS = Table(
    "concept_alignments",
    "One concept URI of the records, with one AAT id it stands for.",
    ("uri", "concept_id"),
    (
        Column("uri", STRING, "the URI as records write it"),
        Column("concept_id", STRING, "nine-digit AAT id, obsolete ones already followed"),
        Column("evidence", STRING, "direct, via_entity or proxy_only"),
        Column("match", STRING, "exact or close"),
    ),
)

UNMAPPED_CONCEPTS = Table(
    "unmapped_concepts",
    "One concept URI that reaches no AAT id, for the curators.",
    ("uri",),
    (
        Column("uri", STRING, "the URI as records write it"),
        Column("label", STRING, "a label seen for it, or null"),
        Column("reason", STRING, "no_match, not_found, obsolete_without_replacement, other_vocabulary, outside_facets"),
        Column("n_records", pa.int64(), "records that link to it"),
    ),
)

TAGS = Table(
    "tags",
    "One tag of the dataset: an AAT concept under one of the facets.",
    ("tag_id",),
    (
        TAG_ID,
        Column("facet", STRING, f"{', '.join(FACETS[:-1])} or {FACETS[-1]}"),
        Column("parent", STRING, "the next tag above it, or null at the top"),
        Column("depth", pa.int16(), "1 at the top"),
        Column("path", STRINGS, "tag ids from the top down to this one"),
        Column("labels", BY_LANGUAGE, "preferred labels"),
        Column("n_images", pa.int64(), "usable images with this tag, closed upwards, exact duplicates once"),
    ),
)

RECORD_TAGS = Table(
    "record_tags",
    "One tag of one record.",
    ("record_id", "facet", "tag_id"),
    (
        RECORD_ID,
        FACET,
        TAG_ID,
        Column(
            "stated", pa.bool_(), "true: stated by the record (a leaf of its tags); false: an ancestor, closed upwards"
        ),
    ),
)

SELECTED_RECORDS = Table(
    "selected_records",
    "One record that curation keeps before any image is fetched.",
    ("record_id",),
    tuple(RECORDS.column(name) for name in ("record_id", "data_provider", "rights_uri", "image_url", "thumbnail_url")),
)

CURATION_REPORT = Table(
    "curation_report",
    "What one rule removed in one round.",
    ("stage", "round", "rule"),
    (
        Column("stage", STRING, "records (before images) or usable_images"),
        Column("round", pa.int16(), "round of the fixed point, from 1; 0 for rules applied once"),
        Column("position", pa.int16(), "order in which the rules of the stage were applied, from 1"),
        Column("rule", STRING, "name of the rule"),
        Column("reason", STRING, "why the rule exists"),
        Column("records_before", pa.int64(), "records before"),
        Column("records_after", pa.int64(), "records after"),
        Column("record_tags_before", pa.int64(), "pairs of record and tag before"),
        Column("record_tags_after", pa.int64(), "pairs of record and tag after"),
    ),
)

CANDIDATE_RECORD_TAGS = replace(
    RECORD_TAGS,
    name="candidate_record_tags",
    row="One tag of one record that curation keeps before images are fetched.",
)
SELECTION_REPORT = replace(
    CURATION_REPORT, name="selection_report", row="What one rule removed in one round, before images are fetched."
)

CORRECTIONS = Table(
    "corrections",
    "One tag added to or removed from one record by a person.",
    ("record_id", "tag_id"),
    (
        RECORD_ID,
        TAG_ID,
        Column("action", STRING, "add or remove"),
        Column("reason", STRING, "why"),
        Column("who", STRING, "the person, as they sign"),
        Column("date", pa.date32(), "day of the decision"),
        Column("source", STRING, "file or cataloguer_decisions"),
    ),
)

IGNORED_CORRECTIONS = Table(
    "ignored_corrections",
    "One correction that could not be applied, for the person who made it.",
    ("record_id", "tag_id"),
    (*CORRECTIONS.columns, Column("problem", STRING, "why it could not be applied")),
)

REMOVED_TAGS = Table(
    "removed_tags",
    "One tag that had too few usable images; its records keep the tags above it.",
    ("round", "tag_id"),
    (
        Column("round", pa.int16(), "round of the fixed point that removed it, from 1"),
        TAG_ID,
        FACET,
        Column("label", STRING, "English label, or what stands in for it"),
        Column("n_images", pa.int64(), "images it had"),
    ),
)
REMOVED_CANDIDATES = replace(
    REMOVED_TAGS,
    name="removed_candidates",
    row="One tag that had too few records, before images are fetched; its records keep the tags above it.",
)

RULE_EFFECTS = Table(
    "rule_effects",
    "One rule of the rules file and what it met.",
    ("rule",),
    (
        Column("rule", STRING, "the rule as reports call it"),
        Column("action", STRING, "cut, exclude, include, reassign, subject or heading"),
        Column("concept_id", STRING, "nine-digit AAT id, or null for a heading"),
        Column("reason", STRING, "why the rule exists"),
        Column("n_concepts", pa.int64(), "concepts it decided"),
        Column("problem", STRING, "that it met nothing, or names the concept otherwise than the AAT; else null"),
    ),
)

REJECTED_TAGS = Table(
    "rejected_tags",
    "One tag that a person says a record does not have: a verified negative for training.",
    ("record_id", "tag_id"),
    (
        RECORD_ID,
        FACET,
        TAG_ID,
        Column("stated", pa.bool_(), "true: the person named this tag; false: it lies below one that they named"),
    ),
)

FETCHES = Table(
    "fetches",
    "One image URL and how fetching it went.",
    ("url",),
    (
        Column("url", STRING, "the URL as the record gives it"),
        Column("state", STRING, "fetched, unchanged, failed (try again) or rejected (for good)"),
        Column("http_status", pa.int32(), "last answer, null when there was none"),
        Column("reason", STRING, "typed reason of a failure or rejection"),
        Column("attempts", pa.int32(), "requests made so far"),
        Column("next_try", TIME, "not before this moment; null unless failed"),
        Column("etag", STRING, "for the conditional request of a refresh"),
        Column("last_modified", STRING, "for the conditional request of a refresh"),
        Column("content_sha256", STRING, "sha256 of the bytes received"),
        Column("fetched_at", TIME, "when the bytes were received"),
    ),
)

IMAGES = Table(
    "images",
    "One usable image of one record, re-encoded.",
    ("record_id", "view"),
    (
        *IMAGE_KEY,
        Column("image_id", STRING, "sha256 of the source bytes"),
        Column("image", IMAGE, "JPEG with short side at most 256 px, no EXIF; path is `<image_id>.jpg`"),
        Column("width", pa.int32(), "of the stored image, px"),
        Column("height", pa.int32(), "of the stored image, px"),
        Column("source_url", STRING, "where the bytes came from"),
        Column("perceptual_hash", pa.uint64(), "64-bit difference hash (dHash)"),
        Column("miniature", pa.binary(), "32 x 32 grey levels, row by row; near-duplicates are compared by it"),
    ),
)

GROUPS = Table(
    "groups",
    "One image with the group of near-duplicates it belongs to; a group never crosses splits.",
    ("record_id", "view"),
    (
        *IMAGE_KEY,
        Column("group_id", STRING, "the smallest `record_id#view` in the group"),
        Column("reason", STRING, "alone, same_record, same_bytes or near_duplicate"),
    ),
)


def features_table(dimensions: int) -> Table:
    """The `features` table for an extractor of that many dimensions."""
    return Table(
        "features",
        "One image described by one extractor.",
        ("image_id", "extractor"),
        (
            Column("image_id", STRING, "sha256 of the source bytes"),
            Column("extractor", STRING, "name of the network, as in settings"),
            Column("vector", pa.list_(pa.float16(), dimensions), "features"),
        ),
    )


PROVIDER_DISTANCES = Table(
    "provider_distances",
    "One data provider, its distance to the whole, and whether it may be an outer test.",
    ("data_provider", "extractor"),
    (
        Column("data_provider", STRING, "the institution"),
        Column("extractor", STRING, "name of the network"),
        Column("n", pa.int64(), "images"),
        Column("share", pa.float64(), "of all images"),
        Column("entropy", pa.float64(), "bits; diversity of the images' stated object-type sets"),
        Column("frechet_to_whole", pa.float64(), "squared Fréchet distance to all images"),
        Column("low", pa.float64(), "lower end of its 95 % interval, by subsampling"),
        Column("high", pa.float64(), "upper end of its 95 % interval, by subsampling"),
        Column("frechet_to_first", pa.float64(), "squared Fréchet distance to the first chosen provider"),
        Column("kid", pa.float64(), "kernel distance to the whole (polynomial kernel, unbiased)"),
        Column("kid_rank", pa.int32(), "rank by that distance, 1 the farthest"),
        Column("fewer_images_than_dimensions", pa.bool_(), "true: the covariance has no full rank, read with care"),
        Column("eligible", pa.bool_(), "may be an outer provider"),
        Column("chosen", pa.int16(), "1 for the first, 2 for the second, null otherwise"),
        Column("reason", STRING, "why it is, or is not, eligible or chosen"),
    ),
)

SPLIT_TABLE = Table(
    "splits",
    "One image and the split it is in.",
    ("record_id", "view"),
    (
        *IMAGE_KEY,
        Column("split", STRING, "train, validation, inner_test, outer_test or left_out"),
        Column("suite", STRING, "outer provider's name, or the split's own name"),
        Column("group_id", STRING, "group of near-duplicates"),
        Column("reason", STRING, "why it is there"),
    ),
)

SPLIT_TAGS = Table(
    "split_tags",
    "One tag, its counts per split, and which bounds hold.",
    ("tag_id",),
    (
        TAG_ID,
        FACET,
        Column("n_left", pa.int64(), "images left after the outer split"),
        Column("minimum", pa.int64(), "least number of inner test images"),
        Column("maximum", pa.int64(), "most images that may go to the inner test"),
        Column("train", pa.int64(), "images in training"),
        Column("validation", pa.int64(), "images in validation"),
        Column("inner_test", pa.int64(), "images in the inner test"),
        Column("outer_test", pa.int64(), "images in the outer test"),
        Column("scored", pa.bool_(), "in the models' tag list: it has training images"),
        Column("problem", STRING, "why a bound could not be met, or null"),
    ),
)

CATALOGUER_DECISIONS = Table(
    "cataloguer_decisions",
    "One tag accepted, rejected or added by a cataloguer in the assistant.",
    ("decision_id",),
    (
        Column("decision_id", STRING, "id given by the assistant's store"),
        Column("record_id", STRING, "Europeana's id, or null for an uploaded image"),
        Column("image_id", STRING, "sha256 of the image's bytes"),
        TAG_ID,
        Column("accepted", pa.bool_(), "false: a verified negative"),
        Column("who", STRING, "the cataloguer, as they sign"),
        Column("at", TIME, "when"),
        Column("model", STRING, "model shown, or null in blind mode"),
        Column("score", pa.float32(), "its score for the tag"),
        Column("rank", pa.int32(), "rank shown, 1 the first; null when not suggested"),
        Column("clicks", pa.int32(), "clicks until the decision"),
    ),
)

RESULTS = Table(
    "results",
    "One metric of one baseline on one facet of one test set.",
    ("run", "baseline", "seed", "split", "facet", "metric", "policy"),
    (
        *SCORED,
        Column("facet", STRING, "a facet, or `mean` (unweighted over facets)"),
        Column("metric", STRING, "r_precision, acc_at_1, acc_at_10, avg_rank_position, …"),
        Column("policy", STRING, "ignore_unseen (paper) or count_unseen"),
        Column("value", pa.float64(), "null where no image counts"),
        Column("low", pa.float64(), "lower end of the 95 % interval, bootstrap over groups"),
        Column("high", pa.float64(), "upper end"),
        Column("n", pa.int64(), "images counted"),
        Column("ignored_share", pa.float64(), "share of relevant tags ignored as unseen"),
    ),
)

BREAKDOWNS = Table(
    "breakdowns",
    "One metric of one baseline on a part of a test set: a provider, a depth, or the images of one tag.",
    ("run", "baseline", "seed", "split", "facet", "by", "level", "metric"),
    (
        *SCORED,
        Column("facet", STRING, "a facet"),
        Column("by", STRING, "data_provider, depth or tag"),
        Column("level", STRING, "the provider's name, the depth, or the tag id"),
        Column("metric", STRING, "as in results; tag_recall is the chance that the tag is among the R best"),
        Column("value", pa.float64(), "null where no image counts"),
        Column("n", pa.int64(), "images counted"),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "The paired difference of two rows of the benchmark on the same images of a test, in one metric on one facet.",
    ("run", "split", "first", "second", "facet", "metric"),
    (
        Column("run", STRING, "hash of the splits and tag list the figures belong to"),
        Column("split", STRING, "inner_test, outer_test or validation"),
        Column("first", STRING, "key of one baseline, or the place of its predictions"),
        Column("second", STRING, "key of the other; label_prior for the ranking by frequency alone"),
        Column("facet", STRING, "a facet, or `mean` (unweighted over facets)"),
        Column("metric", STRING, "r_precision, acc_at_1, acc_at_10 or avg_rank_position; unseen tags are ignored"),
        Column("difference", pa.float64(), "first minus second"),
        Column("low", pa.float64(), "lower end of its 95 % interval, bootstrap over groups"),
        Column("high", pa.float64(), "upper end"),
        Column("p_value", pa.float64(), "two-sided, sign flips of whole groups"),
        Column("p_holm", pa.float64(), "corrected for all pairs compared on the same split, facet and metric"),
    ),
)

TABLES = {table.name: table for table in list(globals().values()) if isinstance(table, Table)}
