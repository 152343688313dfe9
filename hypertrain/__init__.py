"""Training and evaluation of the hypernetwork (needs the [train] extra)."""
