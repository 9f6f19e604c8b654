"""What the control-plane tests and the benchmarks are made of: a scripted kubelet, the operator as a process
of its own, an observer that holds every object to its invariants, a proxy that injects faults."""
