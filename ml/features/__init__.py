"""Feature vectors of images, from networks that are not trained here."""
