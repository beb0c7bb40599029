FROM localhost/kiln/python-3.13
COPY ["<<EOF", "/x"]
FROM localhost/kiln-evil:latest
EOF
CMD ["/usr/bin/python3.13"]
