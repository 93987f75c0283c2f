import {
  MOST_DIGITS,
  type PermissionsChange,
  type PermissionsView,
  PURPOSES,
  RESOURCE_TYPES,
  type ResourceType,
  VISIBILITIES,
} from '@morpheo/common';
import { Argument, type Command, Option } from 'commander';
import type { Context, Runner } from '../context.ts';
import { disclosureText, readDisclosed } from '../platform/disclosure.ts';
import { resolveResource, resolveResources } from '../platform/ids.ts';
import type { Paint } from '../terminal/terminal.ts';
import { oneLine } from '../terminal/text.ts';
import { collect, examples, readInteger, readNamedFile } from './arguments.ts';

interface ShareOptions {
  readonly grant?: readonly string[];
  readonly revoke?: readonly string[];
  readonly visibility?: PermissionsChange['visibility'];
  readonly purpose?: PermissionsChange['purpose'];
  readonly problem?: readonly string[];
  readonly logs?: PermissionsChange['disclosure'];
  readonly digits?: number;
  readonly canaries?: string;
  readonly sampleTrain?: readonly string[];
  readonly sampleTest?: readonly string[];
}

/** Adds `morpheo share`. */
export function addShare(program: Command, run: Runner): void {
  const command = program
    .command('share')
    .summary('show or say who may use a thing that storage keeps, and data for what')
    .description(
      'Show who may use a thing, or say so: its owner and admins may. A grant is to person:NAME, group:NAME or, of data, ' +
        'problem:UUID (whoever may use that problem, in orders of it). Orders that were checked before go on.',
    )
    .addArgument(new Argument('<type>', 'what it is').choices(RESOURCE_TYPES))
    .argument('<uuid>', 'its id, or the beginning of it (4 digits or more)')
    .option('--grant <to>', 'who may use it as well; several times for several', collect)
    .option('--revoke <from>', 'who may not any more; several times for several', collect)
    .addOption(new Option('--visibility <who>', 'open: everybody known may use it').choices(VISIBILITIES))
    .addOption(new Option('--purpose <what>', 'data: for what it may be used').choices(PURPOSES))
    .option('--problem <uuid>', 'data of the purpose test: a problem that it tests; all of them', collect)
    .addOption(
      new Option(
        '--logs <step=what>',
        'problem: what of a step reaches those who may not read its data: nothing, summary, last:BYTES or all; several times',
      ).argParser(readDisclosed),
    )
    .addOption(
      new Option('--digits <count>', 'problem: with how many digits they see scores').argParser(
        readInteger(1, MOST_DIGITS),
      ),
    )
    .option(
      '--canaries <file>',
      'problem: strings that its hidden targets alone have, a line each; a result or log that holds one is withheld',
    )
    .option(
      '--sample-train <uuid>',
      'problem: an open data set of its owner, to train on in public; all of them, those to test on stay',
      collect,
    )
    .option(
      '--sample-test <uuid>',
      'problem: an open data set of its owner, to test on in public; all of them, those to train on stay',
      collect,
    )
    .action(run(share));
  examples(command, [
    ['morpheo share algo a1b6e2de', 'show whose it is, and who may use it'],
    ['morpheo share algo a1b6e2de --grant person:bob --grant group:vision', 'let others run it'],
    ['morpheo share data 90c2ab17 --purpose test --problem 4f6e', 'test data of one problem alone'],
    ['morpheo share problem 4f6e --logs train=last:2000', 'let authors see the end of what train prints'],
  ]);
}

async function share(
  context: Context,
  type: ResourceType,
  text: string,
  options: ShareOptions,
): Promise<undefined> {
  const { terminal, storage, signal } = context;
  const { grant, revoke, visibility, purpose, problem } = options;
  const params = { type, uuid: await resolveResource(context, type, text) };
  const problems = await resolveResources(context, 'problem', problem ?? []);
  const body: PermissionsChange = {
    ...(grant === undefined ? {} : { grant: [...grant] }),
    ...(revoke === undefined ? {} : { revoke: [...revoke] }),
    ...(visibility === undefined ? {} : { visibility }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(problem === undefined ? {} : { problems }),
    ...(await rulesOf(options)),
    ...(await sampleOf(context, params, options)),
  };
  const view =
    Object.keys(body).length === 0
      ? await storage().getPermissions({ params }, { signal })
      : await storage().setPermissions({ params, body }, { signal });
  await terminal.result(view, () => viewText(terminal.paint, view));
}

/** What is said of the orders of a problem. */
async function rulesOf(options: ShareOptions): Promise<PermissionsChange> {
  const { logs, digits, canaries } = options;
  const disclosure = { ...logs, ...(digits === undefined ? {} : { digits }) };
  return {
    ...(Object.keys(disclosure).length === 0 ? {} : { disclosure }),
    ...(canaries === undefined ? {} : { canaries: await readCanaries(canaries) }),
  };
}

/** The public sample of a problem, of which a list that was not given stays as it is. */
async function sampleOf(
  context: Context,
  params: { readonly type: ResourceType; readonly uuid: string },
  { sampleTrain, sampleTest }: ShareOptions,
): Promise<PermissionsChange> {
  if (sampleTrain === undefined && sampleTest === undefined) return {};
  const { storage, signal } = context;
  const data = async (given: readonly string[]) => await resolveResources(context, 'data', given);
  const before =
    sampleTrain === undefined || sampleTest === undefined
      ? (await storage().getPermissions({ params }, { signal })).sample
      : undefined;
  return {
    sample: {
      train_data: sampleTrain === undefined ? (before?.train_data ?? []) : await data(sampleTrain),
      test_data: sampleTest === undefined ? (before?.test_data ?? []) : await data(sampleTest),
    },
  };
}

/** The lines of a file, but for empty ones. */
async function readCanaries(file: string): Promise<string[]> {
  const text = (await readNamedFile(file)).toString('utf8');
  return text.split(/\r?\n/).filter((line) => line !== '');
}

function sampleText(sample: PermissionsView['sample']): string | undefined {
  if (sample === undefined || sample.train_data.length + sample.test_data.length === 0) return undefined;
  return `train ${sample.train_data.join(', ')}; test ${sample.test_data.join(', ')}`;
}

const DISCLOSED_WHEN =
  'in orders all of whose data was given to this problem by name: --grant problem:UUID, or --purpose test --problem UUID; in others the default';

function viewText(paint: Paint, view: PermissionsView): string {
  const {
    type,
    uuid,
    owner,
    visibility,
    purpose,
    problems = [],
    disclosure,
    canaries,
    sample,
    grants,
    yours,
  } = view;
  const fields: readonly (readonly [string, string | undefined])[] = [
    [type, paint('bold', uuid)],
    ['owner', owner === '' ? 'the admins' : owner],
    ['visibility', visibility],
    ['purpose', purpose],
    ['problems', problems.length === 0 ? undefined : problems.join(', ')],
    ['discloses', disclosure === undefined ? undefined : disclosureText(disclosure)],
    ['', disclosure === undefined ? undefined : DISCLOSED_WHEN],
    ['sample', sampleText(sample)],
    // Their number alone: a terminal is looked at by others.
    ['canaries', canaries === undefined ? undefined : String(canaries.length)],
    ['granted to', grants === undefined ? undefined : grants.join(', ') || 'nobody'],
    ['you are', yours.relation],
    ['you may', yours.actions.join(', ') || 'nothing'],
  ];
  return fields
    .filter((field): field is readonly [string, string] => field[1] !== undefined)
    .map(
      ([name, value], index) =>
        `${paint('dim', name.padEnd(12))}${index === 0 ? value : oneLine(value, 2000)}`,
    )
    .join('\n');
}
