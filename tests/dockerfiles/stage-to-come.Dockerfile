FROM localhost/kiln/python-3.13
COPY --from=evil /PWNED /b
FROM localhost/kiln-evil:latest AS evil
CMD ["/usr/bin/python3.13"]
