"""The table `relinks`: for each published row the record of Europeana that has its picture, and its rights."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from pipeline.curation.rules import bare_rights
from pipeline.images.wanted import thumbnail_urls
from pipeline.published.addresses import address_of
from pipeline.published.lookup import KEPT, Answer, Hit
from pipeline.tables import RELINKS

FOUND, SEVERAL, GONE, NEVER_FOUND = "found", "several", "gone", "never_found"
NO_ADDRESS, REFUSED, NOT_ASKED = "no_address", "refused", "not_asked"
STATUSES = (FOUND, SEVERAL, GONE, NEVER_FOUND, NO_ADDRESS, REFUSED, NOT_ASKED)
NOT_THERE = ("placeholder", "http_404", "http_410")  # reasons of `fetches` for a thumbnail that Europeana lacks


def addresses_of(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the museum's own address of the picture in the column `address`."""
    addresses = [address_of(url) for url in rows["image_url"]]
    return rows.with_columns(address=pl.Series(addresses, dtype=pl.String))


def relinks_of(rows: pl.DataFrame, answers: Mapping[str, Answer | None], fetches: pl.DataFrame) -> pl.DataFrame:
    """The table RELINKS.

    `rows` has record_id, view, image_url, data_provider and address; `answers` is what the lookup found by address;
    `fetches`, with url and reason, tells whether the thumbnail of a row without a record was there.
    """
    missing = set(fetches.filter(pl.col("reason").is_in(NOT_THERE))["url"])
    known = set(fetches["url"])
    found = []
    for row in rows.select("record_id", "view", "image_url", "data_provider", "address").to_dicts():
        answer = answers.get(row["address"]) if row["address"] is not None else None
        asked = [url for url in thumbnail_urls(row["image_url"]) if url in known]
        is_gone = bool(asked) and missing.issuperset(asked)
        published = {"record_id": row["record_id"], "view": row["view"], "address": row["address"]}
        published |= {"published_provider": row["data_provider"], "status": _status(row["address"], answer, is_gone)}
        hits = answer.hits if answer is not None else []
        found.append({**published, **_told(hits, row["data_provider"]), "n_records": answer.n if answer else 0})
    return RELINKS.frame(found).sort("record_id", "view")


def counts_of(relinks: pl.DataFrame) -> pl.DataFrame:
    """How many rows have each status: status, rows, share."""
    counts = dict(relinks.group_by("status").len().iter_rows())
    rows = [(status, counts.get(status, 0), counts.get(status, 0) / max(1, relinks.height)) for status in STATUSES]
    return pl.DataFrame(rows, schema=("status", "rows", "share"), orient="row").filter(pl.col("rows") > 0)


def lost_pictures(rows: pl.DataFrame, fetches: pl.DataFrame) -> pl.DataFrame:
    """Why pictures of rows could not be had, by the reasons of `fetches`: reason, rows; the most frequent first."""
    urls = rows.select(url="image_url").join(fetches.drop_nulls("reason"), on="url")
    return urls.group_by("reason").agg(rows=pl.len()).sort("rows", "reason", descending=[True, False])


def may_be_passed_on(relinks: pl.DataFrame, open_rights: Iterable[str]) -> pl.DataFrame:
    """The rows of `relinks` whose records all are known and have open rights (the rule of curation, `not_open`).

    Of a picture in more than KEPT records some are not known.
    """
    prefixes = tuple(map(bare_rights, open_rights))
    distinct = relinks["all_rights"].explode().drop_nulls().unique().to_list()
    closed = [uri for uri in distinct if not bare_rights(uri).startswith(prefixes)]
    rights = pl.col("all_rights").list
    known = pl.col("n_records") <= pl.col("other_ids").list.len() + 1
    return relinks.filter(known & (rights.len() > 0) & ~rights.eval(pl.element().is_in(closed)).list.any())


def _status(address: str | None, answer: Answer | None, is_gone: bool) -> str:
    if address is None:
        return NO_ADDRESS
    if answer is None:
        return NOT_ASKED
    if answer.refused:
        return REFUSED
    if answer.n > 0:
        return FOUND if answer.n == 1 else SEVERAL
    return GONE if is_gone else NEVER_FOUND


def _told(hits: Sequence[Hit], published: str | None) -> dict[str, object]:
    """The columns of the record: of several the one of the published keeper, else the first by id."""
    if not hits:
        return {}
    ordered = sorted(hits, key=lambda hit: (not _is_same(hit.data_provider, published), hit.record_id))
    first, others = ordered[0], ordered[1:]
    rights = {hit.rights_uri or "" for hit in hits}  # none stated is not open
    return {
        "by": first.by,
        "spelling": "exact" if first.as_written else "normalised",
        "europeana_id": first.record_id,
        "other_ids": sorted(hit.record_id for hit in others)[: KEPT - 1],
        "rights_uri": first.rights_uri,
        "all_rights": sorted(rights),
        "attribution": first.attribution,
        "landing_page": first.landing_page,
        "concept_uris": first.concept_uris,
        "data_provider": first.data_provider,
        "same_provider": _is_same(first.data_provider, published),
    }


def _is_same(name: str | None, other: str | None) -> bool:
    return " ".join((name or "").split()).casefold() == " ".join((other or "").split()).casefold()
