"""How the demo's objects are drawn: the shape is the object type, the texture the material, the rest the provider."""
