import ava, { type ExecutionContext } from 'ava';
import { eventually } from '../../testing/index.ts';
import type { DatabaseUnderTest, Register } from './conformance-driver.ts';
import type { Place } from './conformance-schema.ts';

/** Registers what the contract says about notifications as tests of one driver. */
export function testNotifications(driver: DatabaseUnderTest): void {
  const test: Register = driver.test ?? ava;
  const behaves = (title: string, run: (t: ExecutionContext, place: Place) => Promise<void>) =>
    test(`${driver.name}: ${title}`, async (t) => {
      await using place = await driver.place();
      await run(t, place);
    });

  behaves('a notification is heard here at once, by its channel alone [D8] [D10]', hearsHere);
  behaves('a listener that is disposed hears nothing [D11]', endsListening);
  if (driver.shared)
    behaves(
      'a notification is heard by other openings of the database once they are told that they hear [D9] [D10] [D20]',
      hearsElsewhere,
    );
}

async function hearsHere(t: ExecutionContext, place: Place): Promise<void> {
  await using database = await place.open({ migrations: {} });
  const heard: string[] = [];
  using _first = database.listen('orders', (text, origin) => heard.push(`${text} ${origin}`));
  using _second = database.listen('orders', (text) => heard.push(`${text} again`));
  using _other = database.listen('workers', (text) => heard.push(text));
  database.notify('orders', 'a text with blanks');
  t.deepEqual(heard, ['a text with blanks here', 'a text with blanks again']);
  t.throws(() => database.notify('No channel', ''), { instanceOf: TypeError });
}

async function endsListening(t: ExecutionContext, place: Place): Promise<void> {
  await using database = await place.open({ migrations: {} });
  const heard: string[] = [];
  const listener = database.listen('orders', (text) => heard.push(text));
  listener[Symbol.dispose]();
  database.notify('orders', 'a');
  t.deepEqual(heard, []);
}

async function hearsElsewhere(t: ExecutionContext, place: Place): Promise<void> {
  await using sender = await place.open({ migrations: {} });
  await using listener = await place.open({ migrations: {} });
  const heard = new Set<string>();
  const { promise: begins, resolve: begin } = Promise.withResolvers<void>();
  using _there = listener.listen('orders', (text, origin) => heard.add(`${text} ${origin}`), begin);
  const back: string[] = [];
  using _here = sender.listen('orders', (text, origin) => back.push(`${text} ${origin}`));
  // Until the other one listens, what is told is lost.
  await begins;
  sender.notify('orders', 'first');
  await eventually(t, (t) => t.true(heard.has('first elsewhere')));
  const texts = Array.from({ length: 600 }, (_, index) => `text ${index}`);
  texts.push('x'.repeat(1000), 'é'.repeat(500));
  for (const text of texts) sender.notify('orders', text);
  await eventually(t, (t) =>
    t.deepEqual(
      texts.filter((text) => !heard.has(`${text} elsewhere`)),
      [],
    ),
  );
  t.deepEqual(
    back.filter((text) => text.endsWith('elsewhere')),
    [],
  );
}
