"""The Getty AAT as a thesaurus: concepts, paths, labels, facets."""
