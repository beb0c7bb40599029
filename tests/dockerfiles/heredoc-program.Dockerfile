FROM localhost/kiln/python-3.13
RUN <<EOF
#!/usr/bin/python3.13
EOF
CMD ["/usr/bin/python3.13"]
