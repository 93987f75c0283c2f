import fs from 'node:fs';
import { Agent, request } from 'node:http';

// A warm runner that does what each call brings: a program of JavaScript, which knows the folders of its inputs and outputs,
// and what calls before it have put into `keeps`.

if (process.env.SAY !== undefined) console.log(process.env.SAY);
if (process.env.WAIT !== undefined) await new Promise(() => setInterval(() => {}, 60_000));
// Without its first slash: no path of a container.
if (process.env.FAIL_WHILE !== undefined && fs.existsSync(`/${process.env.FAIL_WHILE}`)) process.exit(3);
const agent = new Agent({ keepAlive: true });
const keeps = {};

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const asking = request({ agent, socketPath: process.env.MORPHEO_RUNNER, method, path }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve(text === '' ? { calls: [] } : JSON.parse(text)));
    });
    asking.on('error', reject);
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const AsyncFunction = (async () => {}).constructor;

async function answer({ id, inputs, outputs }) {
  const program = fs.existsSync(`${inputs}/program`) ? fs.readFileSync(`${inputs}/program`, 'utf8') : '';
  const run = new AsyncFunction('inputs', 'outputs', 'keeps', 'fs', program);
  const said = await run(inputs, outputs, keeps, fs).catch(({ name, message, stack }) => ({
    ...{ ok: false, message },
    ...{ type: name, traceback: stack },
  }));
  await ask('POST', '/done', { id, ...(said ?? { ok: true }) });
}

for (;;) {
  const { calls } = await ask('GET', `/next?max=${process.env.MAX ?? 1}`);
  await Promise.all(calls.map(answer));
}
