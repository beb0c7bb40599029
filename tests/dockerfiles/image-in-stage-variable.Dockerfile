FROM localhost/kiln/python-3.13
ARG I=localhost/kiln-evil:latest
COPY --from=$I /PWNED /x
CMD ["/usr/bin/python3.13"]
