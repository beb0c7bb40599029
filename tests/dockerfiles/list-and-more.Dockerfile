FROM localhost/kiln/python-3.13
COPY ["a", "/x"] /y
CMD ["/usr/bin/python3.13"]
