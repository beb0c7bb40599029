FROM localhost/kiln/python-3.13 AS evil
 FROM localhost/kiln-evil:latest AS evil
FROM localhost/kiln/python-3.13
COPY --from=evil /PWNED /app/PWNED
CMD ["/usr/bin/python3.13"]
