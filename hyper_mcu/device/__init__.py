"""The host's side of a device: its key, sealed people, the line to it, and the boards."""
