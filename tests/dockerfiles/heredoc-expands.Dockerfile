FROM localhost/kiln/python-3.13
COPY <<EOF /x
$HOME
EOF
CMD ["/usr/bin/python3.13"]
