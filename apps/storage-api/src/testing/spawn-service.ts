import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LOAD_JOINED } from '@morpheo/real-parts';

/** A service in a process of its own. */
export interface ServiceProcess extends AsyncDisposable {
  readonly url: string;
  /** The most memory that the process ever held, in bytes. */
  peakBytes(): Promise<number>;
  sweep(): Promise<void>;
  /** Ends the process as a power switch would, but for the disk. */
  kill(): Promise<void>;
}

/** A bucket of a test's server, as the child is told of it. */
export interface ChildBucket {
  readonly bucket: string;
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Starts a service on a folder, with its bytes there or in a bucket; see `service-child.ts`. */
export async function spawnService(folder: string, bucket?: ChildBucket): Promise<ServiceProcess> {
  const told = bucket === undefined ? [folder] : [folder, JSON.stringify(bucket)];
  const main = fileURLToPath(new URL('service-child.ts', import.meta.url));
  const child = fork(main, told, { execArgv: [...LOAD_JOINED] });
  const exited = once(child, 'exit');
  const ask = async (question: string): Promise<unknown> => {
    const answered = once(child, 'message');
    child.send(question);
    return (await answered)[0];
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  const [url] = await Promise.race([
    once(child, 'message'),
    exited.then(() => Promise.reject(new Error('the service ended before it was ready'))),
  ]);
  return {
    url: String(url),
    peakBytes: async () => Number(await ask('peak')),
    sweep: async () => void (await ask('sweep')),
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
