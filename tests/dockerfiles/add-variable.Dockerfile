FROM localhost/kiln/python-3.13
ARG U=https://example.invalid/x
ADD $U /x
CMD ["/usr/bin/python3.13"]
