FROM localhost/kiln/python-3.13
COPY -- a /x
CMD ["/usr/bin/python3.13"]
