import { decodedBytes, gather, MOST_IN_JOB, PlatformError, type Settled } from '@morpheo/common';
import { z } from 'zod';
import type { Peers } from '../clients.ts';
import type { Network } from './artifact.ts';

/** What of compute-api a network is asked by. */
export type CallCompute = Pick<Peers['compute'], 'postCall'>;

/** The pictures of a call, at the most: so many the trainer takes at once. */
const MOST_TOGETHER = 32;
/** How many calls of a network are under way at once: while one is computed, another one is on its way. */
const CALLS = 2;
const F32 = 4;

const answer = z.object({ categories: z.array(z.string()) });

/**
 * Asks a network about pictures, each given as its pixels: rows, and within them channels, a byte each. Pictures that come
 * together go as one call, which one runner that stays warm answers. Resolves with the probability of each category, by index.
 *
 * A picture whose `signal` is aborted before its call begins is not asked about: its promise rejects with the signal's reason.
 * Throws as `postCall` does, and `call_failed` where the answer is none.
 */
export type Ask = (pixels: Uint8Array, signal?: AbortSignal) => Promise<readonly number[]>;

interface Asked {
  readonly pixels: Uint8Array;
  readonly signal: AbortSignal | undefined;
}

/** What asks one network; see {@link Ask}. Throws `wrong_state` where one picture is more than a call may have. */
export function asks(network: Network, compute: CallCompute, waitSeconds: number): Ask {
  const { width, height, channels } = network;
  const fitting = Math.floor((MOST_IN_JOB.inlineBytes - MOST_REQUEST) / (width * height * channels));
  if (fitting < 1)
    throw new PlatformError(
      'wrong_state',
      `The network of training ${network.training} takes pictures of ${width} × ${height}, which are more than a call may have.`,
    );
  const ask = gather(
    async (asked: readonly Asked[]) =>
      await settled(asked, async (pictures) => await call(network, pictures, compute, waitSeconds)),
    { most: Math.min(fitting, MOST_TOGETHER), rounds: CALLS },
  );
  return async (pixels, signal) => await ask({ pixels, signal });
}

/** Nobody waits for those that are aborted: more of them than a network can answer would hold up all that come later. */
async function settled(
  asked: readonly Asked[],
  answer: (pictures: readonly Uint8Array[]) => Promise<readonly (readonly number[])[]>,
): Promise<Settled<readonly number[]>[]> {
  const awaited = new Set(asked.filter(({ signal }) => signal?.aborted !== true));
  const rows = awaited.size === 0 ? [] : await answer([...awaited].map(({ pixels }) => pixels));
  const answers = rows.values();
  return asked.map((one) =>
    awaited.has(one)
      ? { status: 'fulfilled', value: answers.next().value ?? [] }
      : { status: 'rejected', reason: one.signal?.reason },
  );
}

/** What beside the pixels is in a call, in bytes. */
const MOST_REQUEST = 1024;

async function call(
  network: Network,
  pictures: readonly Uint8Array[],
  compute: CallCompute,
  wait_seconds: number,
): Promise<readonly (readonly number[])[]> {
  const count = pictures.length;
  const answered = await compute.postCall({
    headers: {},
    body: {
      algo: network.algo,
      command: ['serve'],
      inputs: [
        { path: '/network', resource: { type: 'output', uuid: network.output } },
        { path: '/in/pictures.u8', inline: Buffer.concat(pictures).toString('base64') },
        { path: '/in/request.json', inline: Buffer.from(JSON.stringify({ count })).toString('base64') },
      ],
      needs: { labels: { ...network.labels } },
      wait_seconds,
    },
  });
  const files =
    'outputs' in answered ? new Map(answered.outputs.map(({ name, data }) => [name, data])) : undefined;
  demandCategories(network, files?.get('answer.json'));
  return rowsOf(files?.get('probabilities.f32') ?? '', count, network);
}

function demandCategories(network: Network, text = ''): void {
  const read = answer.safeParse(parsed(Buffer.from(text, 'base64').toString()));
  if (!read.success) throw noAnswer(network, 'answer.json is not there, or not what it should be');
  if (JSON.stringify(read.data.categories) !== JSON.stringify(network.categories))
    throw noAnswer(network, 'it answers for other categories than its description says');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The probabilities of each picture: 32-bit floats, little-endian. */
function rowsOf(base64: string, count: number, network: Network): readonly (readonly number[])[] {
  const { length } = network.categories;
  if (decodedBytes(base64) !== count * length * F32)
    throw noAnswer(network, `probabilities.f32 has not ${count} × ${length} numbers`);
  const bytes = Buffer.from(base64, 'base64');
  const numbers = Array.from({ length: count * length }, (_, index) => bytes.readFloatLE(index * F32));
  if (!numbers.every((one) => one >= 0 && one <= 1))
    throw noAnswer(network, 'what it answers are no probabilities (NaN, or beyond 0 and 1)');
  return Array.from({ length: count }, (_, row) => numbers.slice(row * length, (row + 1) * length));
}

function noAnswer({ training }: Network, why: string): PlatformError {
  return new PlatformError('call_failed', `The network of training ${training} gave no answer: ${why}.`);
}
