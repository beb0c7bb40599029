FROM localhost/kiln/python-3.13
RUN true \ \
