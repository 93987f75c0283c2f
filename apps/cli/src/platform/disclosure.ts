import { type Disclosed, type Disclosure, disclosed, SEEING_STEPS, type SeeingStep } from '@morpheo/common';
import { InvalidArgumentError } from 'commander';

/** What of which steps is disclosed, as `--logs` says it. */
type Logs = Partial<Record<SeeingStep, Disclosed>>;

/** Reads one `--logs step=what`, beside those before it. Throws `InvalidArgumentError`. */
export function readDisclosed(text: string, before: Logs | undefined): Logs {
  const [name, what = ''] = text.split('=', 2);
  const step = SEEING_STEPS.find((one) => one === name);
  const bytes = /^last:(\d{1,6})$/.exec(what)?.[1];
  const read = disclosed.safeParse(bytes === undefined ? what : { last_bytes: Number(bytes) });
  if (step === undefined || !read.success)
    throw new InvalidArgumentError(
      `It should be STEP=WHAT: one of ${SEEING_STEPS.join(', ')}, and nothing, summary, last:BYTES or all.`,
    );
  return { ...before, [step]: read.data };
}

/** What of which steps is disclosed, in one line. */
export function disclosureText({ digits, ...steps }: Partial<Disclosure>): string {
  const parts = Object.entries(steps).map(([step, what]) => {
    return `${step} ${typeof what === 'object' ? `last ${what.last_bytes} bytes` : what}`;
  });
  return [...parts, ...(digits === undefined ? [] : [`scores with ${digits} digits`])].join(', ');
}
