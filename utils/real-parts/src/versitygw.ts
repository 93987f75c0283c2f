import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-ports.ts';
import { minioAt } from './minio.ts';
import { quickFolder, requireProgram } from './place.ts';
import { startServer } from './server-process.ts';
import type { SharedMinio } from './shared.ts';

/** Starts the machine's VersityGW on a free port, with no data: another server that speaks S3, beside MinIO. */
export async function startVersitygw(): Promise<SharedMinio> {
  const { ListBucketsCommand } = await import('@aws-sdk/client-s3');
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'versitygw-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const [data, attributes] = [join(folder, 'data'), join(folder, 'attributes')];
  for (const path of [data, attributes]) await mkdir(path);
  const address = `127.0.0.1:${await freePort()}`;
  const asked = await minioAt(`http://${address}`);
  stack.defer(() => asked.client.destroy());
  const { accessKeyId, secretAccessKey } = asked.credentials;
  stack.use(
    await startServer({
      command: requireProgram('versitygw'),
      args: ['--port', address, '--quiet', 'posix', '--sidecar', attributes, data],
      env: { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
      ready: () => asked.client.send(new ListBucketsCommand({})),
    }),
  );
  const opened = stack.move();
  return { ...asked, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
