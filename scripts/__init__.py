"""What `make demo` and the end-to-end tests share: kubectl, helm, the release, and the flights on a volume."""
