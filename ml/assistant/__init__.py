"""The annotation assistant: a cataloguer's desk in the browser, with a model's suggestions in four trees."""
