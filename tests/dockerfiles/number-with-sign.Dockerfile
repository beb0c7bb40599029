FROM localhost/kiln/python-3.13
FROM localhost/kiln/python-3.13
COPY --from=+0 /a /b
CMD ["/usr/bin/python3.13"]
