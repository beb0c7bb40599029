FROM localhost/kiln/python-3.13
RUN --device=x true
CMD ["/usr/bin/python3.13"]
