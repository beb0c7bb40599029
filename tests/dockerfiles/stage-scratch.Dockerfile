FROM localhost/kiln/python-3.13 AS scratch
FROM scratch
COPY --from=scratch / /
CMD ["/usr/bin/python3.13"]
