FROM "localhost/kiln-evil:latest"
CMD ["/usr/bin/python3.13"]
