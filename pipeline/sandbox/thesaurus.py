"""A SPARQL 1.1 endpoint over the museum's thesaurus, answering as Getty's does at `/sparql`."""

from urllib.parse import parse_qs

import pyoxigraph
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

# Predeclared on Getty's endpoint, so a query may use them unannounced.
PREFIXES = {
    "aat": "http://vocab.getty.edu/aat/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
    "dcterms": "http://purl.org/dc/terms/",
    "gvp": "http://vocab.getty.edu/ontology#",
    "gvp_lang": "http://vocab.getty.edu/language/",
    "luc": "http://www.ontotext.com/owlim/lucene#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "skosxl": "http://www.w3.org/2008/05/skos-xl#",
    "xl": "http://www.w3.org/2008/05/skos-xl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
RESULTS = {
    "application/sparql-results+json": pyoxigraph.QueryResultsFormat.JSON,
    "application/json": pyoxigraph.QueryResultsFormat.JSON,
    "application/sparql-results+xml": pyoxigraph.QueryResultsFormat.XML,
    "application/xml": pyoxigraph.QueryResultsFormat.XML,
    "text/csv": pyoxigraph.QueryResultsFormat.CSV,
    "text/tab-separated-values": pyoxigraph.QueryResultsFormat.TSV,
}
GRAPHS = {
    "application/n-triples": pyoxigraph.RdfFormat.N_TRIPLES,
    "text/turtle": pyoxigraph.RdfFormat.TURTLE,
    "application/rdf+xml": pyoxigraph.RdfFormat.RDF_XML,
}
MAX_QUERY = 1_000_000


class SparqlApi:
    """Answers queries over a thesaurus."""

    def __init__(self, thesaurus: pyoxigraph.Store) -> None:
        self.thesaurus = thesaurus

    async def query(self, request: Request) -> Response:
        """GET `?query=`, POST as a form, or POST with the query as the body; JSON or XML as `Accept` asks."""
        if request.headers.get("x-original-host", "").startswith("http://"):
            # Since spring 2026 plain http is answered like this; a POST body is lost on the way.
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"https://vocab.getty.edu{request.url.path}{query}", 301)
        text = await _query(request)
        if not text:
            return Response("MALFORMED QUERY: no query given", 400, media_type="text/plain")
        if len(text) > MAX_QUERY:
            return Response("Request entity too large", 413, media_type="text/plain")
        try:
            return await run_in_threadpool(_answer, self.thesaurus, text, request.headers.get("accept", "*/*"))
        except SyntaxError as error:
            return Response(f"MALFORMED QUERY: {error}", 400, media_type="text/plain")


async def _query(request: Request) -> str | None:
    if request.method == "GET":
        return request.query_params.get("query")
    body = (await request.body()).decode("utf-8", "replace")
    if request.headers.get("content-type", "").startswith("application/sparql-query"):
        return body
    if "\x00" in body:
        return None
    return (parse_qs(body).get("query") or [request.query_params.get("query") or ""])[0]


def _answer(store: pyoxigraph.Store, text: str, accept: str) -> Response:
    results = store.query(text, prefixes=PREFIXES)
    if isinstance(results, pyoxigraph.QueryTriples):
        media_type = _wanted(accept, tuple(GRAPHS))
        body = results.serialize(format=GRAPHS[media_type])
    else:
        media_type = _wanted(accept, tuple(RESULTS))
        body = results.serialize(format=RESULTS[media_type])
    return Response(body, media_type=media_type)


def _wanted(accept: str, offered: tuple[str, ...]) -> str:
    """The first media type of the header that is on offer, else the first on offer."""
    asked = [part.split(";")[0].strip() for part in accept.split(",")]
    return next((name for name in asked if name in offered), offered[0])
