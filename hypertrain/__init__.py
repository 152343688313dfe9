"""Training and evaluation of the hypernetwork (needs the [train] extra).

images      data/ reads sets of every layout; augment; backbones/ of which a user brings the checkpoint
f           net in float for one θ; batched for many; module as others count it; oracle and qat: its integers
h_gen       hgen; export to the generator's file; start: what it begins from
a step      sampling: whose images; pairs: which of them a net sees; work: what it is taught; loss
a stage     distill, hyper (with personal), direct
a run       config and settings; pipeline, loop, schedule, checkpoint, journal, processes; finish; provenance
evaluation  protocols/ and their pairs; evaluate, metrics, report, plots; enrolment, ablate
"""
