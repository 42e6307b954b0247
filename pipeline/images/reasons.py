"""The typed reasons why a URL gave no image, as the column `reason` of `fetches` has them; there are no others."""

import re

HTTP_STATUS = re.compile(r"http_[1-9][0-9]{2}")  # the answer's status, for every status of 300 and more
REASONS = {
    # the URL, or one that it redirects to, is not asked
    "bad_url": "not an address, too long, or with control characters or a user name",
    "bad_scheme": "neither http nor https",
    "bad_port": "neither port 80 nor 443",
    "private_address": "its host has an address that is not on the public internet",
    "taken_down": "named in the take-down list",
    # no answer, or only a part of it
    "host_unreachable": "not asked, as its host had taken no connection for a while",
    "dns_failed": "its host has no address",
    "connect_timeout": "its host did not take the connection in time",
    "connect_failed": "its host refused the connection",
    "tls_failed": "no secure connection: a certificate that is not valid, for example",
    "timeout": "no whole answer in time",
    "connection_lost": "the connection ended before the answer did",
    "truncated_body": "fewer bytes than announced, or a compressed body without its end",
    # an answer that is no picture
    "broken_answer": "not an answer by HTTP's rules",
    "broken_encoding": "not compressed as its header says",
    "unsupported_encoding": "compressed in a way that was not asked for",
    "too_many_redirects": "more redirects than settings.images.redirects",
    "too_large": "more bytes than settings.images.max_bytes, after decompression",
    "opt_out_robots": "the publisher allows no use for AI: X-Robots-Tag",
    "opt_out_tdm": "the publisher reserves text and data mining: tdm-reservation",
    "empty": "no bytes",
    "html": "a web page",
    "xml": "XML",
    "svg": "a drawing in SVG",
    "json": "JSON",
    "pdf": "a PDF",
    "archive": "a ZIP archive",
    "unsupported_format": "a picture in a format that is not read",
    "not_an_image": "anything else",
    # a picture that is not taken
    "polyglot": "a picture that is a page, a script or an archive too",
    "broken_header": "its header cannot be read",
    "too_small": "its short side is below settings.images.min_short_side",
    "too_long": "so long and narrow that no JPEG holds it",
    "too_many_pixels": "more pixels than settings.images.max_pixels",
    "truncated": "its end is missing",
    "decode_failed": "its pixels cannot be read",
    "decode_timeout": "decoding took more than settings.images.decode_timeout_s",
    "decoder_died": "decoding it ended the decoding process",
    "too_much_memory": "decoding needed more than settings.images.decode_memory_mb",
    "flat": "one colour only",
    "wrong_size": "a tile for the assistant's zoom in another size than was requested",
    "placeholder": "an icon in place of a picture",
}


def is_declared(reason: str) -> bool:
    """Whether a reason is one of these."""
    return reason in REASONS or HTTP_STATUS.fullmatch(reason) is not None


def meaning_of(reason: str) -> str:
    """A declared reason in words."""
    return REASONS.get(reason) or f"the server answers {reason.removeprefix('http_')}"
