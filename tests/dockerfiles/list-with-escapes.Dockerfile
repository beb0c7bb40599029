FROM localhost/kiln/python-3.13
COPY ["\u0061", "/a b"]
CMD ["/usr/bin/python3.13"]
