"""Networks: backbones, heads, text towers, and the weights they start from."""
