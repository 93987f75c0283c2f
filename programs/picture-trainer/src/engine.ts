import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import util from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { addNativeKernels, nativeBackend } from './kernels/native.ts';
import { addWasmKernels } from './kernels/wasm.ts';

/** The types of TensorFlow.js: `TF.LayersModel`, `TF.Tensor` and so on. */
export type * as TF from '@tensorflow/tfjs';

/** What every engine can do: TensorFlow.js, whose operations run on the engine that was opened last. */
export type TensorFlow = typeof tf;

/** Which engine is wanted: `native` is TensorFlow's own library, `wasm` runs everywhere, on one core. */
export type EngineKind = 'native' | 'wasm';

/** What computes. */
export interface Engine {
  /** `tensorflow` where TensorFlow's own library computes, `wasm` where its WebAssembly does. */
  readonly name: 'tensorflow' | 'wasm';
  /** The version of that library: 2.15.1 of TensorFlow, 4.22.0 of WebAssembly. */
  readonly version: string;
  readonly device: 'gpu' | 'cpu';
  readonly tf: TensorFlow;
}

/** Why a wanted engine cannot be opened; its message says what to do. */
export class EngineMissing extends Error {}

const require = createRequire(import.meta.url);
const NATIVE = '@tensorflow/tfjs-node-gpu';

/**
 * Opens an engine, and makes it the one that all operations of TensorFlow.js run on: the wanted one, or the native one
 * where its addon is built and wasm elsewhere. The native one takes the GPU where it sees one.
 *
 * @throws EngineMissing where the wanted one is not there, and where none is.
 */
export async function openEngine(wanted?: EngineKind): Promise<Engine> {
  tf.enableProdMode();
  addReluGradient();
  if (wanted === 'wasm') return await openWasm();
  if (hasNative()) return await openNative();
  if (wanted === 'native') {
    throw new EngineMissing('TensorFlow is not built here: run programs/picture-trainer/install');
  }
  return await openWasm();
}

/** Whether the addon that binds TensorFlow's own library is built here. */
export function hasNative(): boolean {
  try {
    const folder = dirname(require.resolve(`${NATIVE}/package.json`));
    return existsSync(join(folder, 'lib/napi-v8/tfjs_binding.node'));
  } catch {
    return false;
  }
}

/** What is said of an engine in logs and results. */
export function describe({ name, version, device }: Engine): string {
  return `${name} ${version} on the ${device}`;
}

/**
 * Makes the gradient of relu one kernel, `ReluGrad`, which both engines add: the package's own is a chain of eight, which
 * takes a third of the time of a training of convolutions.
 */
function addReluGradient(): void {
  tf.unregisterGradient('Relu');
  tf.registerGradient({
    kernelName: 'Relu',
    outputsToSave: [true],
    gradFunc: (dy, [y]) => {
      const inputs = { dy: dy as tf.Tensor, y: y as tf.Tensor };
      return { x: () => tf.engine().runKernel<tf.Tensor>('ReluGrad', inputs) };
    },
  });
}

async function openNative(): Promise<Engine> {
  // Read by the library when it is loaded: only errors are printed, and a GPU is shared with other processes.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  // Node 23 took away what the package still calls.
  const old: { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean } =
    util;
  old.isNullOrUndefined ??= (value) => value === null || value === undefined;
  old.isArray = Array.isArray;
  await import(NATIVE);
  await use('tensorflow');
  addNativeKernels();
  const { isUsingGpuDevice, binding } = nativeBackend();
  const device = isUsingGpuDevice ? 'gpu' : 'cpu';
  return { name: 'tensorflow', version: binding.TF_Version, device, tf };
}

async function openWasm(): Promise<Engine> {
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  addWasmKernels();
  wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  await use('wasm');
  return { name: 'wasm', version: wasm.version_wasm, device: 'cpu', tf };
}

/** A backend that cannot be had is replaced without a word, by one that is 300 times as slow. */
async function use(backend: string): Promise<void> {
  if (!(await tf.setBackend(backend)) || tf.getBackend() !== backend) {
    throw new EngineMissing(`TensorFlow.js cannot use its backend "${backend}" on this machine`);
  }
}
