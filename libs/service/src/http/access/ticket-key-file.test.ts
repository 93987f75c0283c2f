import { randomBytes } from 'node:crypto';
import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { memoryLog } from '../../log/index.ts';
import { eventually } from '../../testing/index.ts';
import { followTicketKeys } from './ticket-key-file.ts';
import { ticketKeysOf, ticketSigner } from './tickets.ts';

const newKey = (): string => randomBytes(32).toString('base64');
const NOTHING = '00000000-0000-4000-8000-000000000000';
const TICKET = {
  ...{ order: NOTHING, attempt: 1, pin: '0'.repeat(64) },
  produces: { type: 'prediction', uuid: NOTHING },
} as const;

test('A file of keys that changes is read again, or warned of at once and by /ready, and the log says so', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'ticket-keys-'));
  const file = join(folder.path, 'keys');
  const write = async (text: string): Promise<void> => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  await write(newKey());
  const log = memoryLog();
  let now = 0;
  const clock = () => (now += 1_000);
  await using followed = await followTicketKeys({ file, log, everyMs: 5, clock });
  t.is(await followed.warning(), undefined);
  await write('no key');
  await eventually(t, async (t) =>
    t.regex((await followed.warning()) ?? '', /The keys before are used: .*keys, line 1/),
  );
  const told = (text: string) => log.entries.filter(({ message }) => message.includes(text)).length;
  await eventually(t, async (t) => t.is(told('are no good: those before hold on'), 1));
  await write(newKey());
  await eventually(t, async (t) => t.is(told('have changed and were read again'), 1));
  t.is(await followed.warning(), undefined);
  t.is(told('are no good'), 1);
});

test('A ticket that is signed with another key is refused with what to do, and the log says so once a minute', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'ticket-keys-'));
  const file = join(folder.path, 'keys');
  await writeFile(file, newKey());
  const log = memoryLog();
  let now = 0;
  await using followed = await followTicketKeys({ file, log, clock: () => now });
  const stranger = await ticketSigner(ticketKeysOf(newKey(), 'here'))(TICKET, new Date(Date.now() + 60_000));
  const show = async () =>
    await t.throwsAsync(followed.verify(`Bearer ${stranger}`), {
      code: 'unauthenticated',
      message: /signed with another key. Give .* the same --ticket-key-file/,
    });
  for (let times = 0; times < 3; times += 1) await show();
  const told = () => log.entries.filter(({ message }) => message.includes('not known here'));
  t.is(told().length, 1);
  now = 60_000;
  await show();
  t.is(told().length, 2);
});
