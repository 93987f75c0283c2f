import type { Usage } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { type Column, layOut } from '../terminal/table.ts';
import { humanBytes, oneLine } from '../terminal/text.ts';
import { examples } from './arguments.ts';

/** Adds `morpheo usage`. */
export function addUsage(program: Command, run: Runner): void {
  const command = program
    .command('usage')
    .summary('show how many bytes are used, and by whom')
    .description(
      'Show the bytes that are used on storage, by owner and kind: all of them for an admin, else yours.',
    )
    .action(run(usage));
  examples(command, [['morpheo usage', 'what is used, and what a quota leaves']]);
}

const COLUMNS: readonly Column[] = [
  { title: 'owner' },
  { title: 'kind' },
  { title: 'count', align: 'right' },
  { title: 'bytes', align: 'right' },
  { title: 'quota', align: 'right' },
];

async function usage({ terminal, storage, signal }: Context): Promise<undefined> {
  const { paint } = terminal;
  const used = await storage().usage({}, { signal });
  await terminal.result(used, () => {
    const { bytes, stored_bytes: stored, saved_bytes: saved, blobs } = used;
    const rows = used.owners.flatMap(rowsOf);
    const table = rows.length === 0 ? [] : [layOut(paint, COLUMNS, rows)];
    const kept = `${humanBytes(bytes)} in all, kept in ${humanBytes(stored)} (${blobs.toLocaleString('en')} blobs)`;
    return [...table, `${kept}; ${humanBytes(saved)} saved by keeping equal bytes once.`].join('\n');
  });
}

function rowsOf({
  owner,
  bytes,
  open_uploads: open,
  reserved_bytes: reserved,
  quota,
  kinds,
}: Usage['owners'][number]): string[][] {
  const name = owner === '' ? '–' : oneLine(owner, 40);
  const all = kinds.reduce((sum, { count }) => sum + count, 0);
  return [
    ...kinds.map((entry) => [
      name,
      entry.kind,
      entry.count.toLocaleString('en'),
      humanBytes(entry.bytes),
      '',
    ]),
    ...(reserved === undefined
      ? []
      : [[name, 'under way', open === undefined ? '' : open.toLocaleString('en'), humanBytes(reserved), '']]),
    [name, 'all', all.toLocaleString('en'), humanBytes(bytes), quota === undefined ? '–' : humanBytes(quota)],
  ];
}
