import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { type BlobStore, putBlob } from '../index.ts';
import { type Declare, digestsOf, inPieces } from './tools.ts';

type Swept = Awaited<ReturnType<BlobStore['sweep']>>;

const HOUR_MS = 3_600_000;
/** So many that every driver has written some of them before the last have come. */
const BYTES = 18_000_000;

/** Declares a test of a store, and of another opening of the same place, as a process that starts later has it. */
export type DeclareTwo = (
  title: string,
  body: (t: ExecutionContext, store: BlobStore, later: BlobStore) => Promise<void>,
) => void;

/** What dead writers left is removed, by its age. */
export function testSweep(of: DeclareTwo): void {
  of(
    'what a dead writer left is swept by age, and a dry run only says [B25] [B27]',
    async (t, store, later) => {
      const abort = new AbortController();
      const bytes = randomBytes(BYTES);
      const swept: Partial<Record<'young' | 'dry' | 'again' | 'done' | 'after', Swept>> = {};
      async function* source() {
        yield* inPieces(bytes, 1_000_000);
        swept.young = await later.sweep(HOUR_MS);
        swept.dry = await later.sweep(0, { dryRun: true });
        swept.again = await later.sweep(0, { dryRun: true });
        swept.done = await later.sweep(0);
        swept.after = await later.sweep(0);
        abort.abort(new Error('dead'));
        yield bytes;
      }
      await t.throwsAsync(putBlob(store, source(), { signal: abort.signal }), { message: 'dead' });
      const nothing = { files: 0, bytes: 0 };
      t.deepEqual([swept.young, swept.after], [nothing, nothing]);
      t.deepEqual([swept.dry?.files, swept.again?.files, swept.done?.files], [1, 1, 1]);
      // Of what was written some may still be on its way when the first look is taken: it only grows.
      const held = [0, swept.dry?.bytes, swept.again?.bytes, swept.done?.bytes, BYTES];
      t.deepEqual(
        held,
        held.toSorted((one, other) => (one ?? 0) - (other ?? 0)),
      );
      t.true((swept.done?.bytes ?? 0) > 0);
      t.deepEqual(await digestsOf(later), []);
    },
  );
}

/** What has a link is downloaded by it. */
export function testLink(of: Declare): void {
  of('anybody may download a blob by its link, and by no other address [B23]', async (t, store) => {
    if (store.link === undefined) {
      t.log('This store has no links.');
      t.pass();
      return;
    }
    const bytes = randomBytes(10_000);
    const { digest } = await putBlob(store, inPieces(bytes));
    const link = await store.link(digest, { fileName: 'data-1', contentType: 'application/x-test' });
    const answer = await fetch(link);
    t.is(answer.status, 200);
    t.is(answer.headers.get('content-type'), 'application/x-test');
    t.regex(answer.headers.get('content-disposition') ?? '', /attachment; filename="data-1"/);
    t.true((await buffer(answer.body ?? new ReadableStream())).equals(bytes));
    const other = new URL(link);
    other.search = '';
    t.is((await fetch(other)).status, 403);
  });
}
