"""install-library.py WHEELS FOLDER: takes TensorFlow's library, its headers and the libraries of CUDA out of wheels.

FOLDER gets lib/, include/ and nvidia/, as the addon and the library itself look for them. Prints the packages of CUDA
that TensorFlow names in its description.
"""
import glob
import os
import re
import shutil
import sys
import zipfile

wheels, folder = sys.argv[1:]
KEPT = {
    'tensorflow/libtensorflow_cc.so.2': 'lib/libtensorflow_cc.so.2',
    'tensorflow/libtensorflow_framework.so.2': 'lib/libtensorflow_framework.so.2',
    'tensorflow/include/tensorflow/c/': 'include/tensorflow/c/',
    'tensorflow/include/tensorflow/core/platform/': 'include/tensorflow/core/platform/',
    'tensorflow/include/tensorflow/tsl/': 'include/tensorflow/tsl/',
    'tensorflow/include/tsl/': 'include/tsl/',
    'tensorflow/include/xla/tsl/': 'include/xla/tsl/',
    'nvidia/': 'nvidia/',
}
# The names by which the addon is linked.
LINKS = {'libtensorflow.so': 'libtensorflow_cc.so.2', 'libtensorflow_framework.so': 'libtensorflow_framework.so.2'}


def extract(archive):
    for name in archive.namelist():
        prefix = next((prefix for prefix in KEPT if name.startswith(prefix)), None)
        # Of CUDA only what is loaded, not its headers.
        if prefix is None or name.endswith('/') or (prefix == 'nvidia/' and '/lib/' not in name):
            continue
        path = os.path.join(folder, KEPT[prefix] + name[len(prefix):])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(name) as source, open(path, 'wb') as target:
            shutil.copyfileobj(source, target, 1 << 22)


def print_needs(archive):
    metadata = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    text = archive.read(metadata).decode()
    for name, version in re.findall(r'^Requires-Dist: (nvidia-[a-z0-9-]+) ?\(?==([0-9.]+)\)?', text, re.M):
        print(f'{name}=={version}')


for path in glob.glob(os.path.join(wheels, '*.whl')):
    with zipfile.ZipFile(path) as archive:
        extract(archive)
        if os.path.basename(path).startswith('tensorflow'):
            print_needs(archive)
    os.remove(path)
for link, target in LINKS.items():
    path = os.path.join(folder, 'lib', link)
    if not os.path.lexists(path):
        os.symlink(target, path)
