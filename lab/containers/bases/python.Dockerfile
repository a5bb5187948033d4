# Python of Debian under the names that docker/Dockerfile uses.
ARG ROOT
FROM ${ROOT}
ENV LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python"]
