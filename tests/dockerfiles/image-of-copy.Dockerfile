FROM localhost/kiln/python-3.13
COPY --from=localhost/kiln-evil:latest /PWNED /x
CMD ["/usr/bin/python3.13"]
