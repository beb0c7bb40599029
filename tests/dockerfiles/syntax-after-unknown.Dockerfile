# foo=bar
# syntax=localhost/kiln-evil:latest
FROM localhost/kiln/python-3.13
COPY a /a
CMD ["/usr/bin/python3.13"]
