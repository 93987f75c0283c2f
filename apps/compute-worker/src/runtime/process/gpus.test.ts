import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { someGpus } from '../../testing/gpus.ts';
import { doublingProblem, programArchive } from '../../testing/programs.ts';
import { openTestWorker } from '../../testing/test-worker.ts';
import { findHostGpus } from './gpus.ts';
import { openProcessRuntime } from './index.ts';

const signal = AbortSignal.timeout(60_000);

async function find(script: string, insist: boolean) {
  await using folder = await temporaryFolder();
  const program = join(folder.path, 'nvidia-smi');
  await writeFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return await findHostGpus({ signal, insist }, program);
}

test("The machine's GPUs are those that its driver lists", async (t) => {
  const script = 'echo "0, GPU-$(echo $2 | tr -d =,)$#, Fake, 1 MiB"';
  t.deepEqual(await find(script, false), [
    { index: 0, id: 'GPU---formatcsvnoheader2', name: 'Fake', memoryBytes: 1024 ** 2 },
  ]);
});

test('A machine without the program of the driver has no GPUs', async (t) => {
  t.deepEqual(await findHostGpus({ signal, insist: false }, '/nonexistent/nvidia-smi'), []);
  await t.throwsAsync(findHostGpus({ signal, insist: true }, '/nonexistent/nvidia-smi'), {
    code: 'unavailable',
    message: /there is no nvidia-smi/,
  });
});

test('A driver that fails is told', async (t) => {
  await t.throwsAsync(find('echo No devices were found; exit 6', false), { code: 'unavailable' });
  await t.throwsAsync(find('echo No devices were found', false), { code: 'unavailable' });
});

test('A process is told of its GPUs, and of none where it has none', async (t) => {
  const openRuntime = async (folder: string) => {
    const runtime = await openProcessRuntime({ folder, log: silentLog });
    return Object.assign(runtime, { gpus: async () => someGpus(2) });
  };
  await using setup = await openTestWorker({ openRuntime });
  const print =
    'console.log([process.env.CUDA_VISIBLE_DEVICES, process.env.NVIDIA_VISIBLE_DEVICES].join("|"));';
  const algo = setup.storage.put('algo', programArchive(`${print} process.exit(3);`));
  const workflow = setup.storage.put('problem', doublingProblem());
  const seen: string[] = [];
  for (const gpus of [0, 2]) {
    const order = setup.learn({ workflow, algo, gpus });
    await setup.worker.settle();
    seen.push(
      order.log.find(({ step, stream }) => step === 'train' && stream === 'stdout')?.text.trim() ?? '',
    );
  }
  const ids = someGpus(2)
    .map(({ id }) => id)
    .join(',');
  t.deepEqual(seen, ['|void', `${ids}|${ids}`]);
});
