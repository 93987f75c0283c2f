import { defineSettings, duration, type SettingsOf, size } from '@morpheo/service/config';
import { z } from 'zod';
import { DEFAULT_ADDRESS } from '../runtime/docker/client/address.ts';

const text = z.string().min(1);
const GIB = 1024 ** 3;

/** The settings of the docker runtime; those of a connection are called as Docker's own programs call them. */
export const dockerSettings = defineSettings({
  dockerHost: {
    flag: 'docker-host',
    env: 'DOCKER_HOST',
    schema: text,
    default: DEFAULT_ADDRESS,
    help: 'Where the Docker daemon listens, such as unix:///var/run/docker.sock or tcp://docker.example:2376.',
  },
  dockerCertPath: {
    flag: 'docker-cert-path',
    env: 'DOCKER_CERT_PATH',
    schema: text.optional(),
    help: 'A folder with ca.pem, cert.pem and key.pem: Docker is spoken to by TLS, and both sides are verified.',
  },
  dockerTlsVerify: {
    flag: 'docker-tls-verify',
    env: 'DOCKER_TLS_VERIFY',
    schema: z.stringbool().optional(),
    switch: true,
    help: 'Refuse to start without --docker-cert-path where the daemon listens at an address of the network.',
  },
  dockerTimeout: {
    flag: 'docker-timeout',
    env: 'MORPHEO_WORKER_DOCKER_TIMEOUT',
    schema: duration,
    default: 15 * 60_000,
    help: 'How long a build may take, such as 15m. Other calls of Docker may take as long, and never more than 1m.',
  },
  dockerData: {
    flag: 'docker-data',
    env: 'MORPHEO_WORKER_DOCKER_DATA',
    schema: z.enum(['auto', 'shared', 'archive']),
    default: 'auto',
    help: 'How data gets into containers. shared: in folders that Docker has at the same paths. archive: sent there and back. auto: shared where possible.',
  },
  imageCache: {
    flag: 'image-cache',
    env: 'MORPHEO_WORKER_IMAGE_CACHE',
    schema: size,
    default: 20 * GIB,
    help: 'What images of archives may take in Docker, base images apart, before the longest unused are removed.',
  },
  spares: {
    flag: 'spares',
    env: 'MORPHEO_WORKER_SPARES',
    schema: z.coerce.number().int().min(0).max(1000),
    default: 2,
    help: 'How many containers at most wait for runs that are near or ran lately, started ahead; 0: none. Docker only.',
  },
  sparesPerImage: {
    flag: 'spares-per-image',
    env: 'MORPHEO_WORKER_SPARES_PER_IMAGE',
    schema: z.coerce.number().int().min(1).max(1000),
    default: 1,
    help: 'How many of these may be of one image, each for another step.',
  },
  spareMemory: {
    flag: 'spare-memory',
    env: 'MORPHEO_WORKER_SPARE_MEMORY',
    schema: size,
    default: 64 * 1024 ** 2,
    help: 'What these may take of the memory of the machine while they wait; each counts as 16 MiB.',
  },
  spareIdle: {
    flag: 'spare-idle',
    env: 'MORPHEO_WORKER_SPARE_IDLE',
    schema: duration,
    default: 10 * 60_000,
    help: 'How long one of these waits before it is removed, such as 10m.',
  },
  cpus: {
    flag: 'cpus',
    env: 'MORPHEO_WORKER_CPUS',
    schema: z.coerce.number().min(0.01).max(10_000).optional(),
    help: 'How many processors a container may keep busy, such as 1.5; all where absent. Docker only.',
  },
  shmSize: {
    flag: 'shm-size',
    env: 'MORPHEO_WORKER_SHM_SIZE',
    schema: size.optional(),
    help: 'What may lie in /dev/shm of a container, such as 1GiB; it counts as memory. All of --memory where absent. Docker only.',
  },
  processes: {
    flag: 'processes',
    env: 'MORPHEO_WORKER_PROCESSES',
    schema: z.coerce.number().int().min(8).max(100_000),
    default: 256,
    help: 'How many processes and threads a container may have. Docker only.',
  },
});

/** What in the settings contradicts, a sentence each. */
export function dockerProblems(config: SettingsOf<typeof dockerSettings>): string[] {
  const { dockerTlsVerify, dockerCertPath, dockerHost } = config;
  if (dockerTlsVerify !== true || dockerCertPath !== undefined || dockerHost.startsWith('unix://')) return [];
  return [
    'DOCKER_TLS_VERIFY asks for TLS: give --docker-cert-path, a folder with ca.pem, cert.pem and key.pem.',
  ];
}
