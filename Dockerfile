# bgone with its embedded model, for CPUs. Build: docker build -t bgone .
# Run: docker run -p 8000:8000 -e BGONE_API_KEYS=KEY bgone   (or -e BGONE_AUTH=none, to serve everybody on purpose)

FROM python:3.12-slim AS build
ARG EXTRA=cpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/bgone
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY src ./src
RUN /opt/bgone/bin/pip install ".[${EXTRA}]"

FROM python:3.12-slim
LABEL org.opencontainers.image.title="bgone" \
      org.opencontainers.image.description="Background-removal server" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin bgone
COPY --from=build /opt/bgone /opt/bgone
# A container's loopback cannot be reached from outside; on any other address bgone asks for keys or BGONE_AUTH=none.
ENV PATH=/opt/bgone/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BGONE_HOST=0.0.0.0
# By number, so that Kubernetes can check runAsNonRoot. Nothing is written but unlinked spool files in /tmp.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
# Straight to the server, whatever proxies the environment names; a 503 raises and counts as unhealthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('BGONE_PORT', '8000') + '/readyz', timeout=4)"]
ENTRYPOINT ["bgone"]
CMD ["serve"]
