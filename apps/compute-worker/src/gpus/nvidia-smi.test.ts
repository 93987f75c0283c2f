import { PlatformError } from '@morpheo/common';
import test from 'ava';
import fc from 'fast-check';
import { readGpus } from './nvidia-smi.ts';

test('What nvidia-smi lists is read', (t) => {
  const text = [
    '0, GPU-5c2f9b1e-7d7c-2a4b-9f1f-0d4c6a1b2c3d, NVIDIA H200, 143771 MiB',
    '1, GPU-7f0e6d5c-1111-2222-3333-444455556666, NVIDIA GB10, [N/A]',
    '',
  ].join('\n');
  t.deepEqual(readGpus(text), [
    {
      index: 0,
      id: 'GPU-5c2f9b1e-7d7c-2a4b-9f1f-0d4c6a1b2c3d',
      name: 'NVIDIA H200',
      memoryBytes: 143_771 * 1024 ** 2,
    },
    { index: 1, id: 'GPU-7f0e6d5c-1111-2222-3333-444455556666', name: 'NVIDIA GB10', memoryBytes: 0 },
  ]);
  t.deepEqual(readGpus(''), []);
});

for (const complaint of [
  'No devices were found',
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
  '0, GPU-1-a, One, 1 MiB\n1, GPU-1-a, One, 1 MiB',
  '0, GPU-1-a, One, 1 MiB\n0, GPU-1-b, One, 1 MiB',
  '0, [Unknown Error], NVIDIA H200, 1 MiB',
]) {
  test(`"${complaint.slice(0, 40).replaceAll('\n', ' ')}" is no list of GPUs`, (t) => {
    t.throws(() => readGpus(complaint), { code: 'unavailable' });
  });
}

test('Whatever nvidia-smi prints is a list or an error of ours', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^\d, GPU-\w{1,9}, .{1,9}, (\d{1,6} MiB|\[N\/A\])$/)),
      (text) => {
        try {
          for (const gpu of readGpus(text))
            if (gpu.memoryBytes < 0) throw new Error('No memory is less than none');
        } catch (error) {
          if (!(error instanceof PlatformError)) throw error;
        }
      },
    ),
  );
  t.pass();
});
