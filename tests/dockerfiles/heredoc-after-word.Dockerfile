FROM localhost/kiln/python-3.13 AS evil
RUN cat <<"LABEL x=1"
FROM localhost/kiln-evil:latest AS evil
LABEL x=1
FROM localhost/kiln/python-3.13
COPY --from=evil /PWNED /app/PWNED
CMD ["/usr/bin/python3.13"]
