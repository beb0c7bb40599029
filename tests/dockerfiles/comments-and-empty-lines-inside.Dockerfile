FROM localhost/kiln/python-3.13
LABEL a=b \

  # FROM localhost/kiln-evil:latest
# FROM localhost/kiln-evil:latest

  c=d
COPY a /a
CMD ["/usr/bin/python3.13"]
