import { readdir, readFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';

const agent = new Agent({ keepAlive: true });

/** Asks the worker at its socket, and resolves with what it answers: undefined where that is nothing (204). */
function ask(method, path, body) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const asked = request({ socketPath: process.env.MORPHEO_RUNNER, agent, method, path }, async (answer) => {
    const text = (await answer.setEncoding('utf8').toArray()).join('');
    if (answer.statusCode >= 400) reject(new Error(`The worker refused ${method} ${path}: ${text}`));
    else resolve(text === '' ? undefined : JSON.parse(text));
  });
  asked.on('error', reject).end(body && JSON.stringify(body));
  return promise;
}

/** Rates each text of a call by the weights of its words: the answer to inputs/NAME is outputs/NAME. */
async function rate(weights, { inputs, outputs }) {
  for (const name of await readdir(inputs)) {
    const words = (await readFile(join(inputs, name), 'utf8')).toLowerCase().match(/[a-z]+/g);
    if (words === null) throw new Error(`There are no words in ${name}.`);
    const score = words.reduce((sum, word) => sum + (weights[word] ?? 0), 0);
    await writeFile(join(outputs, name), JSON.stringify({ score, words: words.length }));
  }
}

async function answer(weights, call) {
  const said = await rate(weights, call).then(
    () => ({ ok: true }),
    ({ message, name, stack }) => ({ ok: false, message, type: name, traceback: stack }),
  );
  await ask('POST', '/done', { id: call.id, ...said });
}

const weights = JSON.parse(await readFile(new URL('weights.json', import.meta.url), 'utf8'));
console.log(`I know ${Object.keys(weights).length} words.`);
for (;;) {
  const { calls } = (await ask('GET', '/next?max=8')) ?? { calls: [] };
  await Promise.all(calls.map((call) => answer(weights, call)));
}
