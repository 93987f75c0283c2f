import { labelKey, labels, namedBy } from '@morpheo/common';
import { defineSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';

/** Labels as a setting has them: `key=value`, several with commas between. */
const labelList = z.string().transform((text, context) => {
  const terms = text.split(',').map((term) => `label.${term.trim()}`);
  const named = terms.every((term) => term.includes('=')) ? namedBy(terms)?.labels : undefined;
  const read = labels.safeParse(named);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const said =
    named === undefined
      ? 'should be labels such as zone=a, each key once'
      : `${issue?.path.join('.') ?? ''} ${issue?.code === 'invalid_key' ? issue.issues[0]?.message : issue?.message}`;
  context.addIssue({ code: 'custom', message: said });
  return z.NEVER;
});

/** What a worker offers by the word of its operator. */
export const offerSettings = defineSettings({
  labels: {
    flag: 'label',
    env: 'MORPHEO_WORKER_LABEL',
    schema: labelList.optional(),
    list: true,
    help: 'What the worker offers to orders that need it, such as zone=a. Keys and values as labels of Kubernetes.',
  },
  dedicated: {
    flag: 'dedicated',
    env: 'MORPHEO_WORKER_DEDICATED',
    schema: z
      .string()
      .transform((text) => text.split(',').map((key) => key.trim()))
      .pipe(z.array(labelKey))
      .optional(),
    list: true,
    help: 'Keys of --label that an order has to need before it comes here, such as trainer; orders that do not run elsewhere.',
  },
  programs: {
    flag: 'programs',
    env: 'MORPHEO_WORKER_PROGRAMS',
    schema: z.string().min(1).optional(),
    help: 'A folder of programs, for --runtime process: these alone are run, by algorithms that name one and bring no files and no variables of their own.',
  },
  programVariables: {
    flag: 'program-variables',
    env: 'MORPHEO_WORKER_PROGRAM_VARIABLES',
    schema: z
      .string()
      .transform((text) => text.split(',').map((name) => name.trim()))
      .pipe(z.array(z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'should be a name of capitals, digits and _')))
      .optional(),
    list: true,
    help: 'Variables of these programs that algorithms and orders may set all the same, such as TRAINER_; with _ at the end, all that begin so.',
  },
  shepherdConfig: {
    flag: 'shepherd-config',
    env: 'MORPHEO_WORKER_SHEPHERD_CONFIG',
    schema: z.string().min(1).optional(),
    help: 'A configuration of Shepherd (YAML), whose sheep the worker keeps: jobs for them come here. The programs of bare ones run on this machine, as this user.',
  },
});

/** What of these settings contradicts another, a sentence each. */
export function offerProblems({
  dedicated = [],
  labels: own = {},
  programs,
  runtime,
}: SettingsOf<typeof offerSettings> & { readonly runtime: string | undefined }): string[] {
  const missing = dedicated.filter((key) => own[key] === undefined);
  const problems = missing.map(
    (key) => `--dedicated ${key} is no key of what the worker offers: give --label ${key}=… too.`,
  );
  if (programs !== undefined && runtime === 'docker')
    problems.push('--programs is for --runtime process: in Docker, programs are those of images.');
  return problems;
}
