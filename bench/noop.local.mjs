import { copyFileSync, readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
const agent = new Agent({ keepAlive: true });
function ask(method, path, body) {
  const { promise, resolve, reject } = Promise.withResolvers();
  request({ socketPath: process.env.MORPHEO_RUNNER, agent, method, path }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (t) => (text += t)).on('end', () => resolve(text === '' ? undefined : JSON.parse(text)));
  }).on('error', reject).end(body && JSON.stringify(body));
  return promise;
}
const answer = async ({ id, inputs, outputs }) => {
  for (const name of readdirSync(inputs)) copyFileSync(`${inputs}/${name}`, `${outputs}/${name}`);
  await ask('POST', '/done', { id, ok: true });
};
for (;;) {
  const { calls } = (await ask('GET', '/next?max=16')) ?? { calls: [] };
  for (const call of calls) void answer(call);
}
