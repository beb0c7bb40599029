FROM localhost/kiln/python-3.13
RUN ["/usr/bin/python3.13", "-c", "open('/made', 'w').write(str(1 << 2))"]
CMD ["/usr/bin/python3.13"]
