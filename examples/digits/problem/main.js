// The problem workflow: hides the targets of test data, and measures predictions against them.

import { parseArgs } from 'node:util';
import { detarget } from './detarget.js';
import { InputError } from './digits-file.js';
import { perf } from './perf.js';

const TASKS = { detarget, perf };
const USAGE = `usage: main.js -T ${Object.keys(TASKS).join('|')} -i <hidden data> -s <submission data>`;

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        task: { type: 'string', short: 'T' },
        hidden: { type: 'string', short: 'i' },
        submission: { type: 'string', short: 's' },
      },
    });
    return values;
  } catch (cause) {
    throw new InputError(`${cause.message}\n${USAGE}`, { cause });
  }
}

async function main() {
  const { task, hidden, submission } = readArguments();
  const run = Object.hasOwn(TASKS, task ?? '') ? TASKS[task] : undefined;
  if (!run || !hidden || !submission) throw new InputError(USAGE);
  await run(hidden, submission, console.log);
}

main().catch((error) => {
  console.error(error instanceof InputError ? `error: ${error.message}` : error);
  process.exitCode = 1;
});
