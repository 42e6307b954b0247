"""The addresses the desk answers: the page's own API, and two that other programs know already."""
