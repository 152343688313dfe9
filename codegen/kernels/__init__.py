"""The kernels of the engine: the C functions of a net's stages, by template, for each instruction set.

A kernel computes a strip: one to `strip` rows of a stage's map, from the rows of the map before it.
"""
