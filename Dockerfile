# One image for each binary: the static binary and nothing else. The context holds the binaries, as tests/kind/images stages them.
# init-redirect has a second one, for kernels without nf_tables.
#
#   docker build --target proxy CONTEXT

FROM scratch AS proxy
LABEL org.opencontainers.image.title="Remora proxy" \
      org.opencontainers.image.description="The sidecar: accepts the pod's redirected connections and carries them" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY proxy /proxy
USER 1337:1337
ENTRYPOINT ["/proxy"]

# Not root, since a pod may refuse that. The binary's file capabilities (permitted, not effective) let this user use what the pod grants.
# They come in a tar file since Docker's COPY drops them (moby/buildkit#2250), and ADD does not.
FROM scratch AS init-redirect
LABEL org.opencontainers.image.title="Remora init-redirect" \
      org.opencontainers.image.description="The init container: installs the rules that send the pod's connections to the proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
ADD init-redirect.tar /
USER 65534:65534
ENTRYPOINT ["/init-redirect"]

# The same with iptables' programs, for both nf_tables and the kernel's legacy tables. They have no capabilities of their own: what
# they may do they inherit from our binary, which starts them.
FROM scratch AS init-redirect-iptables
LABEL org.opencontainers.image.title="Remora init-redirect with iptables" \
      org.opencontainers.image.description="The init container for kernels without nf_tables: installs the same rules by iptables-restore" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later AND LGPL-2.1-or-later"
ADD init-redirect-iptables.tar /
USER 65534:65534
ENTRYPOINT ["/init-redirect"]

FROM scratch AS injector
LABEL org.opencontainers.image.title="Remora injector" \
      org.opencontainers.image.description="The admission webhook: adds the two others to pods" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY injector /injector
USER 65532:65532
ENTRYPOINT ["/injector"]
