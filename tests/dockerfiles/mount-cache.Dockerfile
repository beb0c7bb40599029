FROM localhost/kiln/python-3.13
RUN --mount=type=cache,from=localhost/kiln-evil:latest,target=/e ["/usr/bin/python3.13", "-c", ""]
CMD ["/usr/bin/python3.13"]
