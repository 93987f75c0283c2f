import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { outputOf, type Proof } from './proof.ts';

const UTILS = fileURLToPath(new URL('../../../utils/', import.meta.url));
const IMAGE = 'debian:bookworm-slim';
const DIND = 'morpheo/dind-daemon:gpu';

/** A container in Docker-in-Docker is given one GPU of the machine, and sees that one alone. */
export const passThrough: Proof = {
  name: 'a container in Docker-in-Docker has the GPU that it was given, and no other',
  missing: async () => {
    const runtimes = await outputOf('docker', ['info', '--format', '{{json .Runtimes}}']).catch(
      () => undefined,
    );
    if (runtimes === undefined) return 'the Docker daemon does not answer';
    return runtimes.includes('nvidia') ? undefined : "Docker here is without NVIDIA's container toolkit";
  },
  show: async ({ gpus, folder, say }) => {
    const [gpu] = gpus;
    const name = `morpheo-gpu-proof-${randomUUID().slice(0, 8)}`;
    say('making the image of the daemon ...');
    await outputOf(`${UTILS}dind-daemon/build`, ['--gpu']);
    await outputOf(`${UTILS}base-images/ensure`, [IMAGE]);
    const inner = ['--host', `unix://${folder}/docker.sock`];
    try {
      await outputOf(`${UTILS}dind-daemon/run`, [
        ...['--name', name, '--image', DIND, '--gpus', 'all'],
        ...['--socket', folder, '--jobs', `${folder}/jobs`],
      ]);
      await outputOf('sh', ['-c', `docker save ${IMAGE} | docker ${inner.join(' ')} load`]);
      const listed = await outputOf('docker', [
        ...[
          ...inner,
          'run',
          '--rm',
          '--network',
          'none',
          '--runtime',
          'nvidia',
          '--gpus',
          `"device=${gpu?.id}"`,
        ],
        ...[IMAGE, 'nvidia-smi', '--query-gpu=uuid', '--format=csv,noheader'],
      ]);
      if (listed !== gpu?.id) throw new Error(`given ${gpu?.id}, it sees ${listed}`);
      const without = await outputOf('docker', [
        ...inner,
        'run',
        '--rm',
        IMAGE,
        'sh',
        '-c',
        'ls /dev | grep -c nvidia || :',
      ]);
      if (without !== '0') throw new Error(`a container without a GPU sees ${without} devices`);
      return `${listed}; a container without one sees none`;
    } finally {
      await outputOf('docker', ['rm', '--force', '--volumes', name]).catch(() => undefined);
      await outputOf('docker', ['volume', 'rm', '--force', `${name}-lib`]).catch(() => undefined);
    }
  },
};
