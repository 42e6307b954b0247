"""The addresses the assistant answers: the page's own API, and two that other programs know already."""
