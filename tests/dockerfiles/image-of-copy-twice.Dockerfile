FROM localhost/kiln/python-3.13 AS a
FROM localhost/kiln/python-3.13
COPY --from=a --from=localhost/kiln-evil:latest /PWNED /x
CMD ["/usr/bin/python3.13"]
