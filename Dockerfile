# docker build -t genexp .
# docker run --rm --user "$(id -u)" -v "$PWD:/work" genexp train
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheel

FROM python:3.12-slim
COPY --from=build /wheel /wheel
RUN pip install --no-cache-dir /wheel/*.whl && rm -r /wheel && useradd --create-home genexp && install -d -o genexp /work
USER genexp
ENV MPLCONFIGDIR=/tmp/matplotlib TF_CPP_MIN_LOG_LEVEL=3
WORKDIR /work
ENTRYPOINT ["genexp"]
CMD ["--help"]
