FROM localhost/kiln/python-3.13
RUN ["/usr/bin/python3.13", "-c", ""] && x
CMD ["/usr/bin/python3.13"]
