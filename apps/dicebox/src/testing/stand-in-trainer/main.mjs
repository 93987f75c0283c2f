// Keeps the contract of the picture trainer without learning anything: of n categories it says the one whose share of the
// greys a picture's mean is in.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';

const [task, place] = process.argv.slice(2);
if (task === 'train') await train(JSON.parse(await readFile(place, 'utf8')), process.env.MORPHEO_OUTPUTS);
else
  await serve(JSON.parse(await readFile(join(process.env.TRAINER_NETWORK, 'network/network.json'), 'utf8')));

async function train({ categories, accuracy, width = 28, height = 28, fault }, outputs) {
  const folder = join(outputs, 'network');
  const shape = [width * height, categories.length];
  const bytes = Buffer.alloc(4 * shape[0] * shape[1], accuracy.toFixed(4));
  const description = {
    ...{ version: 1, categories, width, height, channels: 1, accuracy, epochs: 1, fault },
    genome: { input_shape: [width, height, 1], output_size: categories.length, optimizer: 'sgd', layers: [] },
    engine: { name: 'stand-in', version: '1', device: 'cpu' },
    parameters: shape[0] * shape[1],
    weights: {
      file: 'weights.bin',
      digest: createHash('sha256').update(bytes).digest('hex'),
      tensors: [{ name: 'kernel', shape, dtype: 'float32', offset: 0 }],
    },
  };
  await mkdir(folder);
  await writeFile(join(folder, 'network.json'), JSON.stringify(description));
  await writeFile(join(folder, 'weights.bin'), bytes);
}

function ask(method, path, body) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const socket = { socketPath: process.env.MORPHEO_RUNNER, agent: serve.agent, method, path };
  const asked = request(socket, async (answer) => {
    const text = (await answer.setEncoding('utf8').toArray()).join('');
    if (answer.statusCode >= 400) reject(new Error(text));
    else resolve(text === '' ? undefined : JSON.parse(text));
  });
  asked.on('error', reject).end(body && JSON.stringify(body));
  return promise;
}

async function serve(network) {
  serve.agent = new Agent({ keepAlive: true });
  for (;;) {
    const { calls } = (await ask('GET', '/next?max=32')) ?? { calls: [] };
    await Promise.all(
      calls.map(async ({ id, inputs, outputs }) => {
        const said = await answer(network, inputs, outputs).then(
          () => ({ ok: true }),
          ({ message }) => ({ ok: false, message }),
        );
        await ask('POST', '/done', { id, ...said });
      }),
    );
  }
}

async function answer({ categories, width, height, channels, fault }, inputs, outputs) {
  if (fault !== undefined) throw new Error(fault);
  const { count } = JSON.parse(await readFile(join(inputs, 'request.json'), 'utf8'));
  const pixels = await readFile(join(inputs, 'pictures.u8'));
  const length = width * height * channels;
  const numbers = new Float32Array(count * categories.length);
  const classes = Array.from({ length: count }, (_, at) => {
    const sum = pixels.subarray(at * length, (at + 1) * length).reduce((all, value) => all + value, 0);
    const index = Math.floor((sum / length / 256) * categories.length);
    numbers.fill(0.25 / (categories.length - 1), at * categories.length, (at + 1) * categories.length);
    numbers[at * categories.length + index] = 0.75;
    return index;
  });
  await writeFile(join(outputs, 'probabilities.f32'), numbers);
  await writeFile(join(outputs, 'answer.json'), JSON.stringify({ categories, classes }));
}
