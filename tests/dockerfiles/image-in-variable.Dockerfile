ARG I=localhost/kiln-evil:latest
FROM $I
CMD ["/usr/bin/python3.13"]
