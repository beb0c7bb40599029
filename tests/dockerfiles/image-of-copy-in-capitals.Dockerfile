FROM localhost/kiln/python-3.13
COPY --FROM=localhost/kiln-evil:latest /PWNED /x
CMD ["/usr/bin/python3.13"]
