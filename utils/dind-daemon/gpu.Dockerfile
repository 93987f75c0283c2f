# The daemon with NVIDIA's container toolkit, which `build --gpu` compiles into nvidia/ beside this file.
ARG BASE=morpheo/dind-daemon
FROM ${BASE}
COPY nvidia/ /usr/local/bin/
COPY nvidia-container-runtime.toml /etc/nvidia-container-runtime/config.toml
