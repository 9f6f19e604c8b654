"""What `make demo` and the end-to-end tests share: kubectl, helm, the release, the flights on a volume."""
