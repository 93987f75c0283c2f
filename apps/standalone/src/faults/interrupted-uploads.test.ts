import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { storageClient } from '@morpheo/client';
import {
  type Flags,
  freePort,
  mainOf,
  randomFrom,
  ServiceProcess,
  sampleSize,
  startMinio,
  withParts,
} from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { type FaultProxy, openFaultProxy } from '../testing/fault-proxy.ts';

const MEBIBYTE = 1024 * 1024;
const UPLOADS = sampleSize('UPLOADS', { small: 8, full: 20 });
const SIZE = Number(process.env.UPLOAD_MIB ?? 8) * MEBIBYTE;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** What the program sends as one, as it says itself. */
const CHUNK = 4 * MEBIBYTE;
/** The exit code of the program where a service does not answer. */
const UNREACHABLE = 3;
/** Requests around the bytes take some as well. */
const HEADERS = 64 * 1024;
const AT_ONCE = 5;
const MAIN = mainOf('cli');
const CALLER = { name: 'ada', secret: 'a-secret-of-thirty-two-characters' };

/** What goes wrong, and how often it did. */
class FaultPlan {
  readonly random = randomFrom(SEED).next;
  readonly counts = { cuts: 0, flips: 0, kills: 0 };
  readonly #service: ServiceProcess;
  #sinceKill = 0;
  #killing: Promise<void> | undefined;

  constructor(service: ServiceProcess) {
    this.#service = service;
  }

  /** Cuts each upload twice, at any byte, flips a bit of every second one, and kills the service now and then. */
  inject(proxy: FaultProxy, number: number): { expected: number } {
    const cost = { expected: 0 };
    const places = [this.random() * SIZE, this.random() * SIZE].sort((a, b) => a - b);
    let flips = number % 2;
    let before = 0;
    proxy.cut = (sent) => {
      this.#count(sent - before);
      before = sent;
      if (sent < (places[0] ?? Number.POSITIVE_INFINITY)) return false;
      places.shift();
      this.counts.cuts++;
      cost.expected++;
      return true;
    };
    proxy.flip = () => {
      if (flips === 0 || this.random() > 0.02) return false;
      flips = 0;
      this.counts.flips++;
      cost.expected++;
      return true;
    };
    return cost;
  }

  #count(bytes: number): void {
    this.#sinceKill += bytes;
    if (this.#killing !== undefined || this.#sinceKill < 3 * SIZE) return;
    this.#sinceKill = this.random() * SIZE;
    this.#killing = this.#killOnce().finally(() => {
      this.#killing = undefined;
    });
  }

  async #killOnce(): Promise<void> {
    this.counts.kills++;
    await this.#service.kill();
    await this.#service.start();
  }

  /** Resolves once the service runs. */
  async over(): Promise<void> {
    await this.#killing;
  }
}

interface Fixture {
  readonly folder: string;
  readonly service: ServiceProcess;
  readonly url: string;
  readonly faults: FaultPlan;
}

async function morpheo({ folder }: Fixture, url: string, ...argv: string[]) {
  const env = { ...process.env, MORPHEO_HOME: join(folder, 'home'), MORPHEO_STORAGE_URL: url };
  const credentials = { MORPHEO_USER: CALLER.name, MORPHEO_PASSWORD: CALLER.secret };
  const child = spawn(process.execPath, [MAIN, ...argv], { env: { ...env, ...credentials } });
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]);
  return { code: code as number | null, stdout: out.trim(), stderr: err };
}

/** Uploads other bytes than anybody else, cut and killed on the way; returns the id, the digest and what was sent. */
async function uploadOne(t: ExecutionContext, fixture: Fixture, number: number) {
  const { folder, faults } = fixture;
  const file = join(folder, `train-${number}`);
  const bytes = randomBytes(SIZE);
  await writeFile(file, bytes);
  await using proxy = await openFaultProxy(fixture.url);
  const { kills } = faults.counts;
  const cost = faults.inject(proxy, number);
  const call = () => morpheo(fixture, proxy.url, 'upload', 'data', file, '--resume', '--quiet');
  let answer = await call();
  // Whoever cannot even begin since the service is away is told to call again.
  for (let calls = 1; answer.code === UNREACHABLE && calls < 10; calls++) answer = await call();
  t.is(answer.code, 0, answer.stderr);
  await rm(file);
  const costs = cost.expected + faults.counts.kills - kills;
  const again = proxy.sent - SIZE;
  t.true(again <= costs * CHUNK + HEADERS, `${number}: ${again} bytes were sent again for ${costs} cuts`);
  return { uuid: answer.stdout, digest: createHash('sha256').update(bytes).digest('hex'), again };
}

async function uploadAll(t: ExecutionContext, fixture: Fixture) {
  const done: Awaited<ReturnType<typeof uploadOne>>[] = [];
  let next = 0;
  const hands = Array.from({ length: AT_ONCE }, async () => {
    while (next < UPLOADS) done.push(await uploadOne(t, fixture, next++));
  });
  try {
    await Promise.all(hands);
  } finally {
    await fixture.faults.over();
  }
  return done;
}

const clientOf = ({ url }: Fixture) => storageClient({ url, credentials: CALLER });

async function requireBytes(t: ExecutionContext, fixture: Fixture, done: { uuid: string; digest: string }[]) {
  const storage = clientOf(fixture);
  for (const { uuid, digest } of done) {
    const { body } = await storage.getDataBlob({ params: { uuid }, headers: {} });
    const hash = createHash('sha256');
    for await (const piece of body ?? []) hash.update(piece);
    t.is(hash.digest('hex'), digest);
  }
  t.is(new Set(done.map(({ uuid }) => uuid)).size, UPLOADS);
}

/** Begins uploads of half of `size` each, and sends a part of them. */
async function beginAndLeave({ url }: Fixture, size: number): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${CALLER.name}:${CALLER.secret}`).toString('base64')}`;
  const headers = { authorization, 'tus-resumable': '1.0.0' };
  for (const part of [Math.ceil(size / 2), Math.floor(size / 2)]) {
    const metadata = `type ${Buffer.from('data').toString('base64')}`;
    const created = await fetch(`${url}/v1/uploads`, {
      method: 'POST',
      headers: { ...headers, 'upload-length': String(part), 'upload-metadata': metadata },
    });
    const at = new URL(created.headers.get('location') ?? '', `${url}/v1/uploads`);
    const type = { 'content-type': 'application/offset+octet-stream', 'upload-offset': '0' };
    const body = new Uint8Array(1000);
    const sent = await fetch(at, { method: 'PATCH', headers: { ...headers, ...type }, body });
    if (sent.status !== 204) throw new Error(await sent.text());
  }
}

/** What is used and reserved; the quota is one upload more than all. */
async function reserveAndExpire(t: ExecutionContext, fixture: Fixture): Promise<void> {
  const storage = clientOf(fixture);
  const used = async () => (await storage.usage({})).owners[0];
  const nothingReserved = async () =>
    await eventually(t, async (t) => t.is((await used())?.reserved_bytes, undefined));
  t.like(await used(), { owner: CALLER.name, bytes: UPLOADS * SIZE, quota: (UPLOADS + 1) * SIZE });
  // A service that was killed between making an upload and answering leaves one that nobody knows of, until it expires.
  const unknown = (await used())?.reserved_bytes ?? 0;
  t.true(unknown <= SIZE, `${unknown} bytes are reserved`);
  if (unknown > 0) {
    await fixture.service.kill();
    await fixture.service.start({ 'upload-expiry-ms': 1 });
    await nothingReserved();
    await fixture.service.kill();
    await fixture.service.start();
  }
  await beginAndLeave(fixture, SIZE);
  t.is((await used())?.reserved_bytes, SIZE);
  const one = join(fixture.folder, 'one');
  await writeFile(one, 'x');
  const refused = await morpheo(fixture, fixture.url, 'upload', 'data', one, '--quiet');
  t.is(refused.code, 5);
  t.regex(refused.stderr, /ada has \d+ of \d+ bytes/);
  await fixture.service.kill();
  await fixture.service.start({ 'upload-expiry-ms': 1 });
  // It sweeps as soon as it runs.
  await nothingReserved();
  await eventually(t, async (t) => t.deepEqual(await readdir(join(fixture.folder, 'uploads')), []));
  t.is((await morpheo(fixture, fixture.url, 'upload', 'data', one, '--quiet')).code, 0);
  t.deepEqual(await readdir(join(fixture.folder, 'home', 'cli-uploads')), []);
  t.deepEqual(await readdir(join(fixture.folder, 'staging')).catch(() => []), []);
}

async function interrupted(t: ExecutionContext, blobs: Flags): Promise<void> {
  t.timeout(300_000 + UPLOADS * 20_000);
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-interrupted-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const who = { user: CALLER.name, password: CALLER.secret };
  const flags = { ...blobs, ...who, 'data-dir': folder, port, 'log-level': 'error' };
  const service = new ServiceProcess({
    main: mainOf('storage-api'),
    flags: { ...flags, quota: (UPLOADS + 1) * SIZE },
    ready: `${url}/ready`,
  });
  await using _ = service;
  await service.start();
  const fixture = { folder, service, url, faults: new FaultPlan(service) };
  const done = await uploadAll(t, fixture);
  await requireBytes(t, fixture, done);
  await reserveAndExpire(t, fixture);
  const { cuts, flips, kills } = fixture.faults.counts;
  t.true(cuts >= UPLOADS && flips > 0 && kills > 0, JSON.stringify(fixture.faults.counts));
  const again = done.reduce((sum, one) => sum + one.again, 0);
  t.log(
    `seed ${SEED}: ${UPLOADS} uploads of ${SIZE} bytes, ${cuts} cuts, ${flips} flipped bits, ${kills} kills`,
  );
  t.log(`${again} bytes were sent again, ${Math.round(again / (cuts + flips + kills))} for each of these`);
}

ava.serial('Uploads that are cut, corrupted and killed arrive whole in a folder', async (t) => {
  await interrupted(t, {});
});

withParts(ava, 'minio').serial(
  'Uploads that are cut, corrupted and killed arrive whole in a bucket',
  async (t) => {
    await using minio = await startMinio();
    const { accessKeyId, secretAccessKey } = minio.credentials;
    await interrupted(t, {
      blobstore: 's3',
      's3-bucket': await minio.createBucket(),
      's3-endpoint': minio.endpoint,
      's3-access-key': accessKeyId,
      's3-secret-key': secretAccessKey,
    });
  },
);
