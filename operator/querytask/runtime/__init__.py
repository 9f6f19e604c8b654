"""The shell: event source, queue, reconciler, timers. The only layer that knows kopf, and the only one that
knows what time it is."""
