# For those without Linux: docs/gpu.md.
FROM debian:12
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git g++ make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /nigt
COPY . .
ARG GPU=0
RUN make setup GPU=$GPU
CMD ["make", "help"]
