"""What Pillow does not read as the formats' standards say: metadata, colours, TIFF."""
