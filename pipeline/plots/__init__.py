"""Plotly figures as SVG, for paper and for pages without script.

Plotly's own export starts a browser. These are the kinds of figures that the pages have: points, lines, bars, rings.
"""

from pipeline.plots.draw import svg

__all__ = ["svg"]
