"""The protocol's numbers: typed, frozen, each default marked `paper` or `ours`; a profile is a function."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from pipeline.cluster_settings import ClusterSettings
from pipeline.facets import ALL_FACETS
from pipeline.files import WEIGHTS_CACHE
from pipeline.home import default_home
from pipeline.limits import LimitSettings
from pipeline.overrides import SettingsError as SettingsError
from pipeline.overrides import from_file, from_variables
from pipeline.section import Section
from pipeline.text_files import read_lines
from pipeline.verdict_settings import VerdictSettings

RULES_FILE = Path(__file__).parent / "vocabulary" / "rules.toml"


def _lines(file: Path) -> tuple[str, ...]:
    """The lines of an optional text file."""
    return tuple(read_lines(file, SettingsError)) if file.exists() else ()


# The keyword collections of the published dataset, read off its record ids, most hits first (protocol, section 1).
PUBLISHED_COLLECTIONS = _lines(Path(__file__).with_name("published_collections.txt"))

# What Europeana counts as `reusability=open`, http spelling (RightReusabilityCategorizer of corelib).
OPEN_RIGHTS = (
    "http://creativecommons.org/publicdomain/mark/",
    "http://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/licenses/by/",
    "http://creativecommons.org/licenses/by-sa/",
)


class HttpSettings(Section):
    """The HTTP client, for every server."""

    user_agent: str = "eufcc/0.1 (+https://github.com/eufcc/eufcc; research dataset builder)"  # ours
    connect_timeout_s: float = 10.0  # ours
    read_timeout_s: float = 60.0  # ours
    attempts: int = Field(default=8, ge=1)  # ours: dossier, section 1.9
    backoff_first_s: float = 1.0  # ours
    backoff_cap_s: float = 60.0  # ours: dossier, section 1.9
    requests_per_second: float = 5.0  # ours: a polite rate per API host
    total_timeout_s: float = 180.0  # ours: for a whole response, however slowly it arrives
    max_body_bytes: int = 64_000_000  # ours: after decompression; 27 recorded rich records have .35 MB
    max_json_values: int = 2_000_000  # ours: 200 subjects of the AAT have 260,000; `{},` takes 70 times its bytes
    step_retries: int = Field(default=2, ge=0)  # ours: retries of a step whose server did not answer
    step_retry_delay_s: float = 30.0  # ours: before the first retry; doubled for each further one
    rate_limit_waits: int = 24  # ours: how often one request waits for the window to end after HTTP 429
    # Where a host is reached, when not at its own address: {"https://api.europeana.eu": "http://127.0.0.1:8765"}.
    # The real URLs stay in the data; only the connection goes elsewhere.
    hosts: dict[str, str] = Field(default_factory=dict)


class HarvestSettings(Section):
    """The searches of a harvest in Europeana's Search API."""

    api: str = "https://api.europeana.eu"
    dumps: str = ""  # ours: the weekly zips in place of the API: their folder, or its address (ftp, http, https)
    collections: tuple[str, ...] = PUBLISHED_COLLECTIONS  # ours: read off the published ids
    keyword_translations: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # ours: further query words, ORed
    reusability: str = "open"  # paper
    media_type: str = "IMAGE"  # ours
    rows: int = Field(default=100, ge=1, le=100)  # ours: the server's maximum
    image_source: Literal["thumbnail", "original"] = "thumbnail"  # ours: all published test images are thumbnails
    max_records_per_collection: int | None = None  # ours
    max_records_per_provider: int | None = None  # ours
    split_above: int = 5_000  # ours: a larger collection is walked in several chunks
    chains: int = 8  # ours: chunks walked at the same time; `http.requests_per_second` bounds them together
    refresh_overlap_hours: int = 48  # ours: `timestamp_update` windows overlap by this much
    doubts: int = 2  # ours: how often a page that ends a walk too early is requested again
    max_missing_share: float = 0.01  # ours: of the announced total; more is an error, less is index drift
    max_withdrawn_share: float = 0.05  # ours: more missing at once is a fault of the listing, not a withdrawal
    as_of: datetime | None = None  # the moment a harvest declares; None: when it starts
    addresses_per_search: int = Field(default=30, ge=1, le=40)  # ours: in 8 spellings and 3 fields; Solr takes 1,024
    address_days: int = Field(default=365, ge=0)  # ours: after so many days an address is searched for again
    requests_per_hour: int = 1_000  # a personal key; 10,000 for a project key (dossier, section 6)
    seconds_per_page: float = 0.75  # dossier, section 1.4: one chain against the real server
    page_bytes_per_record: int = 1_200  # ours: measured on recorded rich items, gzip
    image_bytes_per_record: int = 30_000  # ours: a 400 px thumbnail


class VocabularySettings(Section):
    """How concepts become terms of the AAT, and terms fall under facets."""

    sparql_endpoint: str = "https://vocab.getty.edu/sparql"
    dumps: tuple[Path, ...] = ()  # ours: N-Triples (gz) or Getty's explicit.zip, read before the endpoint is asked
    fill_in: bool = True  # ours: what no dump knows is asked of the endpoint, which need not answer
    changes: str = ""  # ours: Getty's activity stream; with it, what it names is asked for again, and not what is old
    max_dump_bytes: int = 50_000_000_000  # ours: after decompression; a dump that has more is a bomb
    batch_size: int = Field(default=100, ge=1, le=200)  # ours: ids per VALUES query
    cache_days: int = Field(default=180, ge=0)  # ours: after so many days an id is asked for again
    languages: tuple[str, ...] = ("ca", "es", "en", "de", "nl", "fr")  # ours
    follow_close_matches: bool = False  # ours: exactMatch only
    rules_file: Path = RULES_FILE
    label_files: tuple[Path, ...] = ()  # ours: further labels, CSV aat_id,lang,label,source
    candidate_files: tuple[Path, ...] = ()  # ours: ids that published paths may have, CSV facet,path,aat_id,score


class CurationSettings(Section):
    """Which records and tags are kept."""

    min_images_per_tag: int = Field(default=10, ge=1)  # paper, section 3
    excluded_providers: tuple[str, ...] = ("Mobilier National",)  # paper, section 3
    open_rights: tuple[str, ...] = OPEN_RIGHTS  # paper: reusability open
    more_open_rights: tuple[str, ...] = ()  # a museum's own `open_rights.txt`
    max_records_per_provider: int | None = Field(default=None, ge=1)  # ours: no provider may swallow the outer rule
    corrections_file: Path | None = None  # ours: the curators' CSV
    # ours: where two cataloguers decided, what they agree on and a reviewer settled counts, or the first opinion alone
    second_opinions: Literal["settled", "first"] = "settled"


class ImageSettings(Section):
    """How image bytes are fetched, checked and stored."""

    short_side: int = 256  # ours: never enlarged
    min_short_side: int = 16  # ours: smaller is a counting pixel, not a picture
    jpeg_quality: int = 90  # ours
    slices: int = Field(default=64, ge=1, le=256)  # ours: by a hash of the URL; another count fetches all images again
    rows_per_shard: int = 2_000  # ours
    max_shard_mb: int = 250  # ours: the Hugging Face viewer fails from 300 MB
    rows_per_group: int = 100  # ours: what the Hugging Face viewer shows well
    connections: int = 32  # ours
    connections_per_host: int = 8  # ours: 40 % of the published test images sit on one host
    attempts: int = 4  # ours: in one run
    retry_after_s: float = 600.0  # ours: a failed URL is not asked again before, in a later run
    host_patience_s: float = 30.0  # ours: a host that takes no connection for so long is left until a later run
    redirects: int = 5  # ours
    max_bytes: int = 50_000_000  # ours
    max_pixels: int = 100_000_000  # ours: checked in the header, before decoding
    timeout_s: float = 60.0  # ours
    decode_timeout_s: float = 20.0  # ours
    decode_memory_mb: int = 1_024  # ours
    decoders: int = 2  # ours: decoding processes
    placeholder_sha256: tuple[str, ...] = ()  # icons sent in place of pictures, beside Europeana's own
    allowed_addresses: tuple[str, ...] = ()  # ours: private networks that may be reached (the local museum)
    takedown_file: Path | None = None  # ours: URLs or record ids that must never be fetched
    # Near-duplicates: the embedding, the fine perceptual hash and the pixels must agree
    # (benchmarks/near_duplicates.py).
    near_duplicate_candidates: int = Field(default=20, ge=1)  # ours: compared: nearest by embedding, and by dHash
    near_duplicate_closer_than: float = 0.95  # ours: cosine at least that of this share of random pairs
    near_duplicate_likeness: float = 0.7  # ours: agreement of grey gradients where the two overlap best
    near_duplicate_difference: float = 0.5  # ours: of blocks and of colours, what may be left
    near_duplicate_smallest_part: float = 0.75  # ours: of width and height, that a cropped copy may show
    large_group: int = 20  # ours: a larger group is a warning


class FeatureSettings(Section):
    """Which network describes an image, for distances and near-duplicates."""

    extractors: tuple[str, ...] = ("inception",)  # paper: FID; see ml/features/extract.py for the names
    weights: Path | None = None  # a folder with weight files; None: downloaded by name, checked by sha256
    batch_size: int = 64  # ours
    image_size: int | None = None  # ours: None is the extractor's own
    precision: Literal["fp32", "bf16"] = "fp32"  # ours


class SplitSettings(Section):
    """Outer, inner and validation split (protocol, section 4)."""

    seed: int = 340  # ours
    outer_min_share: float = 0.02  # paper
    outer_max_share: float = 0.05  # paper
    outer_providers: int = 2  # paper
    outer_min_entropy_bits: float = 1.0  # ours: diversity of the stated object-type sets
    outer_extractor: str = "inception"  # paper: FID decides; where there is none, the first extractor by name
    second_rule: Literal["farthest", "nearest"] = "farthest"  # ours: the printed sentence lost a word
    reselect: bool = False  # ours: the chosen two stay chosen across refreshes
    previous: Path | None = None  # ours: the splits.parquet of the last release, whose images keep their split
    max_tag_share: float = 0.33  # paper, read as the most of a tag's images that may go to testing
    min_test_images: dict[str, int] = Field(default_factory=dict, validate_default=True)  # paper: those of the facets
    test_share: float = 0.10  # paper: inner and outer together
    validation_share: float = 0.10  # paper
    objective: Literal["balanced", "proportional"] = "balanced"  # ours
    size: Literal["share", "minimal"] = "share"  # ours: `minimal` reproduces the published scale
    kid_subset: int = 1_000  # ours
    bootstrap: int = 20  # ours: resamples behind the interval of a provider's distance

    @field_validator("min_test_images")
    @classmethod
    def _of_every_facet(cls, given: dict[str, int]) -> dict[str, int]:
        """A facet that is not named, or is younger than the settings file, has the minimum of its record."""
        return {facet.key: facet.min_test_images for facet in ALL_FACETS} | given


class EvaluationSettings(VerdictSettings):
    """How rows of the benchmark are scored and compared (protocol, section 6)."""

    seed: int = 340  # ours
    top_k: tuple[int, ...] = (1, 10)  # paper
    resamples: int = 10_000  # ours: bootstrap over groups, and sign flips of the paired test
    confidence: float = 0.95  # ours
    rare_tag_images: int = 50  # ours: a tag with at most this many training images is rare
    calibration_bins: int = 15  # ours
    example_images: int = 24  # ours: images on the report's page of examples
    batch_rows: int = 8_192  # ours: rows of predictions in memory at a time


class Suite(Section):
    """One suite: how its splits are made (pipeline/splits/suites.py), and what is measured on them."""

    splits: Literal["leave_one_provider_out", "inner_folds", "few_labels", "new_tags"]
    measure: Literal["ranking", "within_provider"] = "ranking"
    folds: int = Field(default=5, ge=2)  # ours: parts of the groups, or of the new tags
    min_images: int = Field(default=40, ge=1)  # ours: of a provider that is left out, and of a new tag
    images_a_tag: tuple[int, ...] = ()  # ours: training images that a tag keeps, one split for each number


SUITES = {  # ours
    "leave_one_provider_out": Suite(splits="leave_one_provider_out"),
    "inner_folds": Suite(splits="inner_folds"),
    "few_labels": Suite(splits="few_labels", images_a_tag=(0, 5, 10, 20)),
    "new_tags": Suite(splits="new_tags", folds=3, min_images=10),
    "within_provider": Suite(splits="inner_folds", measure="within_provider"),
    "within_new_provider": Suite(splits="leave_one_provider_out", measure="within_provider"),
}


class SuiteSettings(Section):
    """Suites of splits beside the paper's two tests; their rows are heads on stored features (ml/suites/rows.py)."""

    seed: int = 340  # ours
    suites: dict[str, Suite] = SUITES  # ours
    rows: tuple[str, ...] = ()  # ours: keys of ml/suites/rows.py; none named: all but those run by name
    dimensions: int = Field(default=256, ge=1)  # ours: principal components of the features that the heads see
    least_of_each: int = Field(default=3, ge=1)  # ours: images with, and without, a tag that an AUROC needs


class ReleaseSettings(Section):
    """What a release is called and how its files are cut."""

    name: str = "EUFCC-340K rebuilt"  # ours
    version: str = "0.1.0"  # ours
    repository: str = ""  # ours: the dataset's on the hub, `owner/name`, for the cards of models trained on it
    rows_per_part: int = 10_000  # ours: about 200 MB of images a file
    rows_per_group: int = 100  # ours: of the dataset folder, which training reads
    rows_per_hub_group: int = 1_000  # ours: of a release; the Hugging Face viewer reads a whole one, of at most 300 MB


class HistorySettings(Section):
    """Which sets of splits can be made again (`eufcc run splits --as-of`)."""

    sets: int = Field(default=52, ge=1)  # ours: a year of weekly refreshes; `eufcc tidy` deletes older ones


class BenchmarkSettings(Section):
    """Which rows are trained, from which recipe and which seed."""

    rows: tuple[str, ...] = ()  # ours: keys of ml/baselines.py; none named: the paper's twelve
    further_rows: bool = False  # ours: with the paper's twelve, those beyond it too
    recipes: str = ""  # ours: a base recipe of ml/recipes.toml; none named: the profile's
    seed: int = Field(default=0, ge=0)  # ours
    overrides: dict[str, str] = Field(default_factory=dict)  # ours: recipe values for every row, as `--override`
    mended: bool = True  # ours: of the published files, every row is trained on the mended splits too


class Settings(Section):
    """Everything the dataset depends on. The models' numbers are in `ml/baselines.py`."""

    profile: Literal["demo", "full"]
    source: str  # where the records come from: `europeana`, or the museum folder's name
    museum: Path | None = None  # the museum folder behind the local museum, in the demo
    published: Path | None = None  # the folder with the published CSV files, where these take the place of a harvest
    http: HttpSettings = HttpSettings()
    harvest: HarvestSettings = HarvestSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    curation: CurationSettings = CurationSettings()
    images: ImageSettings = ImageSettings()
    features: FeatureSettings = FeatureSettings()
    splits: SplitSettings = SplitSettings()
    benchmark: BenchmarkSettings = BenchmarkSettings()
    cluster: ClusterSettings = ClusterSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    suites: SuiteSettings = SuiteSettings()
    release: ReleaseSettings = ReleaseSettings()
    history: HistorySettings = HistorySettings()
    limits: LimitSettings = LimitSettings()


def full() -> Settings:
    """The paper's dataset, from Europeana itself."""
    return Settings(profile="full", source="europeana")


def demo(museum: Path, address: str | None, weights: Path | None = None, *, from_index: bool = False) -> Settings:
    """The same protocol on a museum folder, served on loopback at `address`, small enough for a laptop.

    `weights` is a folder of weight files for the features; without it they come from a seeded random network. With
    `from_index` these are the two networks of the package index.
    """
    from pipeline.sandbox.thumbnails import PLACEHOLDER_SHA256

    # The full minimums would take 40 % of the rendered museum's 1,500 images.
    fewer = {facet.key: facet.min_test_images_demo for facet in ALL_FACETS}
    least = fewer if museum == RENDERED_MUSEUM else SplitSettings().min_test_images
    network = "efficientnet_lite0" if from_index else "mobilenetv2" if weights else "random-inception"
    everything_here = {"*": address} if address is not None else {}
    return Settings(
        profile="demo",
        source=museum.name,
        museum=museum,
        http=HttpSettings(hosts=everything_here, requests_per_second=200.0, backoff_first_s=0.1, step_retries=0),
        harvest=HarvestSettings(collections=_lines(museum / "collections.txt") or ("*",), as_of=OPENING_DAY),
        vocabulary=VocabularySettings(label_files=tuple(file for file in [museum / "labels.csv"] if file.is_file())),
        curation=CurationSettings(more_open_rights=_lines(museum / "open_rights.txt")),
        images=ImageSettings(slices=4, allowed_addresses=("127.0.0.0/8",), placeholder_sha256=(PLACEHOLDER_SHA256,)),
        features=FeatureSettings(extractors=(network,), weights=weights, image_size=128 if weights else None),
        splits=SplitSettings(kid_subset=100, bootstrap=10, min_test_images=least),
        benchmark=BenchmarkSettings(recipes="demo_index" if from_index else ""),
    )


def official(published: Path, sandbox: Settings | None = None) -> Settings:
    """The published dataset from its CSV files: their tags and splits, whatever our own rules would say of them.

    `sandbox`: the settings of the demo, where a local museum plays Europeana and the museums behind the files.
    """
    curation = CurationSettings(min_images_per_tag=1, excluded_providers=())
    own = {"source": f"published-{published.name}", "published": published, "curation": curation}
    return (sandbox or full()).model_copy(update=own)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the environment: a profile, overridden by a file, overridden by single variables.

    EUFCC_PROFILE names the profile; PUBLISHED, the folder with the published files, belongs to `official`. MUSEUM,
    MUSEUM_ADDRESS and WEIGHTS belong to the demo, where weight files that lie beside the museum folder are used without
    being asked for, and WEIGHTS=index means those of `eufcc weights --from-index`; with MUSEUM, `official` has the
    demo's settings too. EUFCC_SETTINGS is a TOML file with a table per section; EUFCC__SECTION__NAME is one value, as
    JSON or as text, and wins over the file.
    Raises SettingsError.
    """
    return _changed(_profile(environ), environ)


def _profile(environ: Mapping[str, str]) -> Settings:
    profile = environ.get("EUFCC_PROFILE", "demo")
    if profile == "full":
        return full()
    if profile == "official":
        folder = Path(environ.get("PUBLISHED") or "").expanduser().resolve()
        if not environ.get("PUBLISHED") or not folder.is_dir():
            given = environ.get("PUBLISHED") or "not set"
            raise SettingsError(f"PUBLISHED is {given}; set it to the folder with the published train.csv.")
        return official(folder, _demo(environ) if environ.get("MUSEUM") else None)
    if profile != "demo":
        raise SettingsError(f"EUFCC_PROFILE is {profile!r}; it must be `demo`, `full` or `official`.")
    return _demo(environ)


def _demo(environ: Mapping[str, str]) -> Settings:
    museum = Path(environ.get("MUSEUM") or RENDERED_MUSEUM).expanduser().resolve()
    if environ.get("WEIGHTS") == FROM_INDEX:
        return demo(museum, environ.get("MUSEUM_ADDRESS"), WEIGHTS_CACHE.expanduser(), from_index=True)
    beside = museum.parent / "weights"
    weights = Path(environ["WEIGHTS"]).expanduser().resolve() if environ.get("WEIGHTS") else beside
    if environ.get("WEIGHTS") and not weights.is_dir():
        raise SettingsError(
            f"WEIGHTS is {environ['WEIGHTS']}, but there is no such folder; correct it or leave it out."
        )
    return demo(museum, environ.get("MUSEUM_ADDRESS"), weights if weights.is_dir() else None)


def _changed(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with the file's and the variables' values in place, checked as if they stood here."""
    values = settings.model_dump()
    for where, section, name, value in [*from_file(environ.get("EUFCC_SETTINGS")), *from_variables(environ)]:
        if not isinstance(values.get(section), dict):
            sections = ", ".join(name for name, value in values.items() if isinstance(value, dict))
            raise SettingsError(f"{where}: there is no section `{section}` in the settings; there are {sections}.")
        values[section][name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"The setting {'.'.join(map(str, first['loc']))} cannot be used: {first['msg']}.") from None


# The local museum's harvests all declare this day, so that repeating one gives the same bytes.
OPENING_DAY = datetime(2026, 8, 1, tzinfo=UTC)

FROM_INDEX = "index"

RENDERED_MUSEUM = default_home() / "museums" / "rendered"
