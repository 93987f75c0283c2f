import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DEFAULT_DISCLOSURE,
  type PermissionsChange,
  type PermissionsView,
  PlatformError,
} from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS } from '../testing/samples.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';

const VIEW: PermissionsView = {
  ...{ type: 'data', uuid: IDS.algo, owner: 'ann', visibility: 'private', purpose: 'test' },
  problems: [IDS.workflow],
  grants: ['group:vision'],
  yours: { relation: 'owner', actions: ['describe', 'share'] },
};

test('Who may use something is shown, and said with flags', async (t) => {
  const changes: PermissionsChange[] = [];
  const storage = {
    getPermissions: async () => VIEW,
    setPermissions: async ({ body }: { readonly body: PermissionsChange }) => {
      changes.push(body);
      return VIEW;
    },
  };
  await using platform = await fakePlatform({ storage });
  const share = async (...argv: string[]) =>
    await morpheo(['share', 'data', IDS.algo, ...argv], { env: platform.env });
  const { stdout, code } = await share();
  t.is(code, 0);
  t.regex(stdout, /^owner +ann$/m);
  t.regex(stdout, new RegExp(`^problems +${IDS.workflow}$`, 'm'));
  t.regex(stdout, /^granted to +group:vision$/m);
  t.regex(stdout, /^you may +describe, share$/m);
  t.deepEqual(changes, []);
  const grants = ['--grant', 'person:bob', '--grant', 'group:vision', '--revoke', 'person:eve'];
  const rest = ['--visibility', 'open', '--purpose', 'test', '--problem', IDS.workflow, '--json'];
  t.deepEqual(JSON.parse((await share(...grants, ...rest)).stdout), VIEW);
  t.deepEqual(changes, [
    {
      ...{ grant: ['person:bob', 'group:vision'], revoke: ['person:eve'] },
      ...{ visibility: 'open', purpose: 'test', problems: [IDS.workflow] },
    },
  ]);
  t.is((await share('--visibility', 'legacy')).code, 2);
});

test('What a problem discloses, and its canaries, are said with flags and shown without a canary', async (t) => {
  const changes: PermissionsChange[] = [];
  const { problems: _, purpose: __, ...rest } = VIEW;
  const disclosure = { ...DEFAULT_DISCLOSURE, train: { last_bytes: 2000 } };
  const view: PermissionsView = { ...rest, type: 'problem', disclosure, canaries: ['zebra-4711'] };
  const storage = {
    getPermissions: async () => view,
    setPermissions: async ({ body }: { readonly body: PermissionsChange }) => {
      changes.push(body);
      return view;
    },
  };
  await using platform = await fakePlatform({ storage });
  const share = async (...argv: string[]) =>
    await morpheo(['share', 'problem', IDS.algo, ...argv], { env: platform.env });
  const { stdout } = await share();
  t.regex(
    stdout,
    /^discloses +detarget nothing, train last 2000 bytes, perf nothing, predict summary, scores with 4 digits\n +in orders all of whose data was given to this problem by name/m,
  );
  t.regex(stdout, /^canaries +1$/m);
  t.notRegex(stdout, /zebra/);
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'canaries.txt');
  await writeFile(file, 'zebra-4711\n\nzebra 4712\r\n');
  const flags = ['--logs', 'train=last:2000', '--logs', 'perf=all', '--digits', '3', '--canaries', file];
  t.is((await share(...flags)).code, 0);
  t.deepEqual(changes, [
    {
      disclosure: { train: { last_bytes: 2000 }, perf: 'all', digits: 3 },
      canaries: ['zebra-4711', 'zebra 4712'],
    },
  ]);
  for (const wrong of ['build=all', 'train=some', 'train=last:0', 'train=last:65537', 'train'])
    t.is((await share('--logs', wrong)).code, 2, wrong);
});

test('A list of the public sample that is not given stays as it is', async (t) => {
  const changes: PermissionsChange[] = [];
  const { problems: _, purpose: __, ...rest } = VIEW;
  const sample = { train_data: [IDS.algo], test_data: [IDS.workflow] };
  const view: PermissionsView = { ...rest, type: 'problem', disclosure: DEFAULT_DISCLOSURE, sample };
  const storage = {
    getPermissions: async () => view,
    setPermissions: async ({ body }: { readonly body: PermissionsChange }) => {
      changes.push(body);
      return view;
    },
  };
  await using platform = await fakePlatform({ storage });
  const share = async (...argv: string[]) =>
    await morpheo(['share', 'problem', IDS.algo, ...argv], { env: platform.env });
  for (const flags of [
    ['--sample-train', IDS.other],
    ['--sample-test', IDS.other],
  ])
    t.is((await share(...flags)).code, 0);
  t.deepEqual(changes, [
    { sample: { ...sample, train_data: [IDS.other] } },
    { sample: { ...sample, test_data: [IDS.other] } },
  ]);
});

test('Other credentials are advised where a role is missing, and not where ownership is', async (t) => {
  for (const [details, hint] of [
    [{}, /belongs to bob\.\n$/],
    [{ roles: ['admin'] }, /belongs to bob\.\nUse credentials with the role/],
  ] as const) {
    await using platform = await fakePlatform({
      storage: {
        setPermissions: async () => {
          throw new PlatformError('forbidden', 'It belongs to bob.', { details });
        },
      },
    });
    const share = ['share', 'algo', IDS.algo, '--grant', 'person:ann'];
    t.regex((await morpheo(share, { env: platform.env })).stderr, hint);
  }
});
