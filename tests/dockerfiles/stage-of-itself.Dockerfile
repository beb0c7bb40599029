FROM localhost/kiln/python-3.13 AS me
COPY --from=me /a /b
CMD ["/usr/bin/python3.13"]
