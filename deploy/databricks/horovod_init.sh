#!/bin/bash
# Init script of every machine of a cluster whose runtime (Spark 4.0) lacks Horovod and petastorm. Not run on Databricks.
#
# It installs the versions that were run together, Horovod built for the torch beside it. Put the wheel that the build
# leaves into INTENTREC_WHEELS (a volume, say) and later machines take seconds instead of minutes.
set -euo pipefail

pip=/databricks/python/bin/pip
python=/databricks/python/bin/python
wheels=${INTENTREC_WHEELS:-/tmp/intentrec-wheels}
mkdir -p "$wheels"

# pyspark and delta-spark stay those of the runtime.
"$pip" install --quiet numpy==1.26.4 pyarrow==14.0.2 'pandas>=2.3,<3' torch==2.13.0 safetensors 'pydantic>=2.9,<3' \
  pyyaml rich jinja2 matplotlib
"$pip" install --quiet --no-deps petastorm==0.12.1
# Python 3.12 has no distutils, which petastorm imports: setuptools brings it.
"$pip" install --quiet dill diskcache future psutil pyzmq fsspec cloudpickle 'setuptools<81' cmake

if ! ls "$wheels"/horovod-0.28.1-*.whl >/dev/null 2>&1; then
  # Horovod 0.28.1 asks for C++14 and torch needs 17: the last -std on the line counts.
  compiler=$(mktemp -d)/g++-17
  printf '#!/bin/sh\nexec g++ "$@" -std=c++17\n' > "$compiler"
  chmod +x "$compiler"
  HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
  HOROVOD_WITHOUT_MXNET=1 CMAKE_POLICY_VERSION_MINIMUM=3.5 CXX="$compiler" \
  HOROVOD_GPU_OPERATIONS=$(command -v nvcc >/dev/null && echo NCCL || true) \
    "$pip" wheel --quiet --no-build-isolation --no-deps --no-binary horovod --wheel-dir "$wheels" horovod==0.28.1
fi
"$pip" install --quiet --no-deps "$wheels"/horovod-0.28.1-*.whl
"$python" -c 'import horovod.torch as hvd; assert hvd.gloo_built()'

# The bundle's wheel names pyspark and delta-spark: pip must not put them over those of the runtime.
printf '[install]\nno-deps = true\n' > /etc/pip.conf
