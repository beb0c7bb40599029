FROM localhost/kiln/python-3.13
RUN <<EOF
FROM localhost/kiln-evil:latest
EOF
