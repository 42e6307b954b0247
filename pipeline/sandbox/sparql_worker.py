"""The process that evaluates SPARQL queries of strangers: it opens no file and no connection, and ends at its limits.

Protocol on the standard streams: first a line of JSON with the limits and the size of the thesaurus, then that as
N-Triples. Then, per query, a line of JSON with `text` and `accept`; the answer is a line of JSON with `status`,
`media_type` and `size`, then the body.
"""

import json
import resource
import signal
import sys

import pyoxigraph

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
STANDARD_STREAMS = 3


def main() -> None:
    """Answers until the input ends, the time of a query is over (SIGALRM) or the memory is used up."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    given = json.loads(questions.readline())
    store = pyoxigraph.Store()
    store.bulk_load(questions.read(given["size"]), format=pyoxigraph.RdfFormat.N_TRIPLES)
    memory = given["memory_mb"] * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # SERVICE would ask other servers from inside: no further file or socket can be opened from here on.
    resource.setrlimit(resource.RLIMIT_NOFILE, (STANDARD_STREAMS, STANDARD_STREAMS))
    for line in iter(questions.readline, b""):
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, given["seconds"])  # ends this process: a query cannot be interrupted
        status, media_type, body = answer(store, asked["text"], asked["accept"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        head = {"status": status, "media_type": media_type, "size": len(body)}
        answers.write(json.dumps(head).encode() + b"\n" + body)
        answers.flush()


def answer(store: pyoxigraph.Store, text: str, accept: str) -> tuple[int, str, bytes]:
    """Status, media type and body of the answer to a query."""
    try:
        results = store.query(text, prefixes=PREFIXES)
        if isinstance(results, pyoxigraph.QueryTriples):
            media_type = _wanted(accept, tuple(GRAPHS))
            return 200, media_type, results.serialize(format=GRAPHS[media_type]) or b""
        media_type = _wanted(accept, tuple(RESULTS))
        return 200, media_type, results.serialize(format=RESULTS[media_type]) or b""
    except SyntaxError as error:
        return 400, "text/plain", f"MALFORMED QUERY: {error}".encode()
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        return 400, "text/plain", f"QUERY NOT ANSWERED: {error}".encode()


def _wanted(accept: str, offered: tuple[str, ...]) -> str:
    """The first media type of the header that is on offer, else the first on offer."""
    asked = [part.split(";")[0].strip() for part in accept.split(",")]
    return next((name for name in asked if name in offered), offered[0])


if __name__ == "__main__":
    main()
