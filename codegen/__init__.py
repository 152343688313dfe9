"""From a network specification to integers to C: netspec, arithmetic, oracle, emitters, toolchains and targets."""
