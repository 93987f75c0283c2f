import test from 'ava';
import { gpuId, gpuInfo, gpuRequest } from './gpu-request.ts';

const plain = gpuInfo.parse({ Runtimes: { runc: {} }, DefaultRuntime: 'runc' });
const toolkit = gpuInfo.parse({
  Runtimes: { runc: {}, nvidia: {} },
  DefaultRuntime: 'nvidia',
  DiscoveredDevices: null,
});
const cdi = gpuInfo.parse({
  Runtimes: { runc: {} },
  DiscoveredDevices: [
    { Source: 'cdi', ID: 'nvidia.com/gpu=0' },
    { Source: 'cdi', ID: 'nvidia.com/gpu=all' },
    { Source: 'cdi', ID: 'amd.com/gpu=0' },
  ],
});
const gpu = { index: 0, id: 'GPU-1', name: 'Fake', memoryBytes: 0 };

test('What a daemon says of GPUs is read from its info', (t) => {
  t.deepEqual(plain, { hasNvidiaRuntime: false, cdiNames: [] });
  t.deepEqual(toolkit, { hasNvidiaRuntime: true, cdiNames: [] });
  t.deepEqual(cdi, { hasNvidiaRuntime: false, cdiNames: ['nvidia.com/gpu=0', 'nvidia.com/gpu=all'] });
  t.deepEqual(gpuInfo.parse({}), plain);
});

test('A container without GPUs never has the runtime that brings them', (t) => {
  for (const facts of [plain, toolkit, cdi]) {
    for (const none of [undefined, []]) {
      const { host, environment } = gpuRequest(none, facts);
      t.deepEqual(host, { Runtime: 'runc' });
      t.deepEqual(environment, ['NVIDIA_VISIBLE_DEVICES=void']);
    }
  }
});

test('GPUs are asked for by their ids and not by a count', (t) => {
  const { host, environment } = gpuRequest(['GPU-1', 'GPU-2'], plain);
  t.deepEqual(host, {
    Runtime: 'runc',
    DeviceRequests: [
      { Driver: 'nvidia', DeviceIDs: ['GPU-1', 'GPU-2'], Capabilities: [['gpu', 'compute', 'utility']] },
    ],
  });
  t.true(environment.includes('NVIDIA_VISIBLE_DEVICES=GPU-1,GPU-2'));
});

test('The runtime of the toolkit is named where the daemon has it', (t) => {
  t.is(gpuRequest(['GPU-1'], toolkit).host.Runtime, 'nvidia');
});

test('A daemon with devices of its own is asked for those', (t) => {
  const { host } = gpuRequest(['0'], cdi);
  t.deepEqual(host, {
    Runtime: 'runc',
    DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=0'] }],
  });
  t.is(gpuId(gpu, cdi), '0');
  t.is(gpuId(gpu, plain), 'GPU-1');
  t.is(gpuId(gpu, { hasNvidiaRuntime: false, cdiNames: [...cdi.cdiNames, 'nvidia.com/gpu=GPU-1'] }), 'GPU-1');
});

test('All GPUs are asked for where they are looked for', (t) => {
  t.like(gpuRequest('all', toolkit).host.DeviceRequests?.[0], { Driver: 'nvidia', Count: -1 });
  t.deepEqual(gpuRequest('all', cdi).host.DeviceRequests?.[0]?.DeviceIDs, ['nvidia.com/gpu=all']);
});
