import * as z from 'zod';
import { bytesOf, MOST_IN_JOB } from './bounds.ts';

/** Where a job finds its outputs and its checkpoint, as folders that it may write. */
export const JOB_FOLDERS = { outputs: '/outputs', checkpoint: '/checkpoint' } as const;

/** What lies below here is of one call where a job runs in a warm runner; all else is of the runner. */
const CALL_INPUTS = '/in/';

/** Where nothing of a warm runner may stand, nor in or above: its calls, its socket, and what is wiped between calls. */
const OF_RUNNERS = ['/calls', '/run/morpheo', '/tmp'];

/** What an input may not stand at, in or above: what is the platform's, the kernel's, or the container's own. */
const RESERVED_PATHS = [
  ...Object.values(JOB_FOLDERS),
  ...['/proc', '/sys', '/dev', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf'],
];

/** Where nothing may stand itself, though it may below: programs of all images need what is there. */
const OF_THE_SYSTEM = [
  '/bin',
  '/boot',
  '/etc',
  '/lib',
  '/lib64',
  '/sbin',
  '/tmp',
  '/usr',
  '/usr/bin',
  '/usr/lib',
];

/** Control characters, and halves of characters, which no path or key can have. */
const UNFIT = /[\p{Cc}\p{Cs}]/u;

/** Where an input stands in a container. */
export const inputPath = z.string().superRefine((text, context) => {
  const message = brokenPath(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

function brokenPath(text: string): string | undefined {
  if (!/^(?:\/[^/]+)+$/.test(text) || /\/\.{1,2}(?:\/|$)/.test(text))
    return 'should be an absolute path without . and .. and without a / at its end, such as /data/train';
  if (UNFIT.test(text) || text.includes(':'))
    return 'should have no control characters, no halves of characters, and no colon';
  if (OF_THE_SYSTEM.includes(text)) return `should not be ${text}, which programs need as it is`;
  if (bytesOf([text]) > MOST_IN_JOB.pathBytes || text.split('/').some((part) => bytesOf([part]) > 255))
    return `should have ${MOST_IN_JOB.pathBytes} bytes at the most, and 255 between two /`;
  const taken = RESERVED_PATHS.find((one) => isWithin(text, one) || isWithin(one, text));
  return taken === undefined ? undefined : `should not be at, in or above ${taken}, which is not for inputs`;
}

/** Where a call in a warm runner finds an input, relative to its folder of inputs; undefined for one of the runner. */
export function callPath(path: string): string | undefined {
  return path.startsWith(CALL_INPUTS) ? path.slice(CALL_INPUTS.length) : undefined;
}

/** What is wrong with an input of a warm runner; undefined where all is well, and for one of a call. */
export function brokenRunnerInput(path: string, isBucket: boolean): string | undefined {
  if (callPath(path) !== undefined) return undefined;
  if (isBucket) return `should stand below ${CALL_INPUTS}: what a warm runner starts with lies in no bucket`;
  if (`${path}/` === CALL_INPUTS) return `should stand below ${CALL_INPUTS}, where each call has its own`;
  const taken = OF_RUNNERS.find((one) => isWithin(path, one) || isWithin(one, path));
  return taken === undefined
    ? undefined
    : `should not be at, in or above ${taken}, which warm runners have for themselves`;
}

/** Whether a path is that of a folder, or of something in it. */
export function isWithin(one: string, folder: string): boolean {
  return one === folder || one.startsWith(`${folder}/`);
}

const prefix = z.string().superRefine((text, context) => {
  const message = brokenPrefix(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

function brokenPrefix(text: string): string | undefined {
  if (UNFIT.test(text)) return 'should have no control characters';
  if (text.startsWith('/') || text.split('/').some((part) => part === '..' || part === '.'))
    return 'should not begin with / and have no . or .. between two /';
  if (text.slice(0, -1).includes('//')) return 'should have no //';
  return bytesOf([text]) <= MOST_IN_JOB.prefixBytes
    ? undefined
    : `should have ${MOST_IN_JOB.prefixBytes} bytes at the most`;
}

/** A prefix of a bucket, by the name that the operator has given to its connection. */
export const bucketPlace = z.strictObject({
  connection: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
      'should be the name of a connection: letters, digits, dots, hyphens and underscores',
    ),
  prefix,
});

/** See {@link bucketPlace}. */
export type BucketPlace = z.infer<typeof bucketPlace>;
