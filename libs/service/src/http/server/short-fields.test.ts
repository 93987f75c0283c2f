import test from 'ava';
import { COSTLY_TEXTS, processorMs } from '../../testing/index.ts';
import { readConcern, readTraceparent } from '../../trace/index.ts';
import { hostGuard } from '../access/bind.ts';
import { credentials } from '../access/credentials.ts';
import { refuseBorrowedCredentials, trustOf } from '../access/origin.ts';
import { cheapHash } from '../testing/cheap-hash.ts';
import { openSmallService } from '../testing/small-service.ts';
import { requirePlainPath } from './plain-path.ts';

const MOST_MS = 50;
const authenticate = credentials([{ name: 'ann', roles: ['admin'], secretHash: cheapHash('secret') }]);

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  'trace context and baggage': (text) => {
    readTraceparent({ traceparent: text });
    readConcern({ baggage: text });
    readConcern({ baggage: text.slice(0, 8000) });
  },
  credentials: (text) => authenticate(text),
  'a host': (text) => {
    const pass = hostGuard({ host: 'localhost' }, ignore, ignore);
    Reflect.apply(pass, undefined, [{ headers: { host: text } }, {}]);
  },
  'an origin': (text) => {
    const request = { method: 'POST', headers: { origin: text, 'content-type': text, authorization: text } };
    refuseBorrowedCredentials(request, trustOf(request, ['http://named.example']));
  },
  'a path': (text) => requirePlainPath({ url: `/${text}`, headers: {} }),
};

for (const [what, parse] of Object.entries(PARSERS)) {
  test.serial(
    `Reading ${what} takes less than ${MOST_MS} ms, whatever 15,000 characters it is made of`,
    async (t) => {
      for (const [pattern, text] of Object.entries(COSTLY_TEXTS)) {
        const ms = await processorMs(MOST_MS, async () => {
          try {
            await parse(text);
          } catch (error) {
            t.true(error instanceof Error && error.name === 'PlatformError', String(error));
          }
        });
        t.true(ms < MOST_MS, `${pattern}: ${ms} ms`);
      }
    },
  );
}

test('A header field that is longer than any client has reason to send is refused by its name', async (t) => {
  await using service = await openSmallService();
  const headers = { 'content-type': `text/plain; a=${'b'.repeat(1000)}` };
  const response = await fetch(`${service.url}/data`, { method: 'POST', body: 'x', headers });
  t.is(response.status, 400);
  t.like(await response.json(), {
    code: 'invalid_request',
    detail: 'The header field content-type has 1014 characters: at most 1000 are read.',
  });
});

test('Header fields that nobody reads may be as long as they like', async (t) => {
  await using service = await openSmallService();
  const headers = { cookie: `of=${'another-service'.repeat(600)}`, traceparent: 'x'.repeat(3000) };
  t.is((await fetch(`${service.url}/health`, { headers })).status, 200);
});

function ignore(): void {}
