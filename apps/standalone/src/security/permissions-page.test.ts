import { readFile } from 'node:fs/promises';
import {
  ACTIONS,
  GROUP_ACTIONS,
  GROUP_PERMISSIONS,
  PERMISSIONS,
  PURPOSES,
  RELATIONS,
  RESOURCE_TYPES,
} from '@morpheo/common';
import { DEFAULT_SETTINGS } from '@morpheo/storage-api';
import test from 'ava';

const page = await readFile(new URL('../../../../docs/permissions.md', import.meta.url), 'utf8');

/** The rows of the page whose first cell is one of these, by that cell. */
function rowsOf(names: readonly string[]): Map<string, string[]> {
  const rows = [...page.matchAll(/^\| `([\w-]+)` \|(.*)\|$/gm)];
  return new Map(
    rows
      .filter(([, name = '']) => names.includes(name))
      .map(([, name = '', rest = '']) => [name, rest.split('|').map((cell) => cell.trim())]),
  );
}

test('The page on permissions shows the table that storage-api decides by', (t) => {
  const heads = /^\| type \|(.*)\|$/m
    .exec(page)?.[1]
    ?.split('|')
    .map((cell) => cell.replaceAll(/[ `]/g, ''));
  t.deepEqual(heads, [...ACTIONS]);
  const rows = rowsOf(RESOURCE_TYPES);
  for (const type of RESOURCE_TYPES) {
    const expected = ACTIONS.map((action) => PERMISSIONS[type][action].join(', ') || 'nobody');
    t.deepEqual(rows.get(type), expected, type);
  }
});

test('The page on permissions shows the table that compute-api decides by who may do what with groups of orders', (t) => {
  const rows = rowsOf(GROUP_ACTIONS);
  for (const action of GROUP_ACTIONS) t.is(rows.get(action)?.at(-1), GROUP_PERMISSIONS[action].join(', '));
});

test('The page on permissions explains every relation, action and purpose, and the defaults of the operator', (t) => {
  for (const names of [RELATIONS, ACTIONS, PURPOSES])
    t.deepEqual(
      [...rowsOf(names).keys()].toSorted((a, b) => `${a}`.localeCompare(`${b}`)),
      [...names].toSorted((a, b) => `${a}`.localeCompare(`${b}`)),
    );
  const { defaultVisibility, defaultPurpose, legacy, anonymousGrants, outputs } = DEFAULT_SETTINGS;
  const settings = [...page.matchAll(/^\| `(--[\w-]+)` \| `(\w+)` \|/gm)].map(([, flag, usual]) => [
    flag,
    usual,
  ]);
  t.deepEqual(settings, [
    ['--default-visibility', defaultVisibility],
    ['--default-purpose', defaultPurpose],
    ['--legacy', legacy],
    ['--anonymous-grants', anonymousGrants],
    ['--outputs', outputs],
  ]);
});
