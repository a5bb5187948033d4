# PostgreSQL of Debian as compose.yml needs it; see postgres-entrypoint.sh.
ARG ROOT
FROM ${ROOT}
ARG MAJOR
ENV LANG=C.UTF-8 \
    PG_MAJOR=${MAJOR} \
    PATH=/usr/lib/postgresql/${MAJOR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY postgres-entrypoint.sh /usr/local/bin/
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["postgres-entrypoint.sh"]
