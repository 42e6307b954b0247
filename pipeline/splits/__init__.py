"""The outer test, inner test and validation split, and checks of what must hold for them."""
