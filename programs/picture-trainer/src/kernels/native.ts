import * as tf from '@tensorflow/tfjs';

/** An attribute of an operation of TensorFlow, by the number that its library has for the attribute's type. */
interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** A tensor of the library, which is deleted by its number. */
interface LibraryTensor {
  readonly id: number;
}

interface Binding {
  readonly TF_Version: string;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_FLOAT: number;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly number[],
    outputs: number,
  ): [LibraryTensor, ...LibraryTensor[]];
  deleteTensor(id: number): void;
}

/** What of the native backend is used here; the package keeps its types to itself. */
export interface NativeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: Binding;
  getInputTensorIds(inputs: readonly tf.TensorInfo[]): number[];
  createOutputTensor(tensor: LibraryTensor): tf.TensorInfo;
}

interface Call {
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly attrs: tf.NamedAttrMap;
  readonly backend: NativeBackend;
}

/** The backend of the native engine, once it is in use. */
export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend;
}

/**
 * Adds the kernel `ReluGrad` to the native backend, and pooling by oneDNN, where the library has it: its own gradient of
 * max pooling takes 25 times as long, which is a third of a training of convolutions. A second call changes nothing.
 */
export function addNativeKernels(): void {
  if (tf.getKernel('ReluGrad', 'tensorflow')) return;
  register('ReluGrad', ({ inputs, backend }) => {
    const ids = idsOf(backend, inputs, 'dy', 'y');
    const [dx] = backend.binding.executeOp('ReluGrad', [typeOf(backend.binding)], ids, 1);
    return backend.createOutputTensor(dx);
  });
  const backend = nativeBackend();
  if (backend.isUsingGpuDevice || !hasOneDnn(backend)) return;
  for (const [name, kernel] of Object.entries({ MaxPool: maxPool, MaxPoolGrad: maxPoolGradient })) {
    tf.unregisterKernel(name, 'tensorflow');
    register(name, kernel);
  }
}

function register(kernelName: string, kernel: (call: Call) => tf.TensorInfo): void {
  // The registry has one type for the kernels of all backends.
  const kernelFunc = kernel as unknown as tf.KernelFunc;
  tf.registerKernel({ kernelName, backendName: 'tensorflow', kernelFunc });
}

/** The numbers that the library has for inputs of a kernel. */
function idsOf(backend: NativeBackend, inputs: Call['inputs'], ...names: string[]): number[] {
  return backend.getInputTensorIds(names.map((name) => inputs[name] as tf.TensorInfo));
}

function typeOf({ TF_ATTR_TYPE, TF_FLOAT }: Binding): Attribute {
  return { name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT };
}

/** Whether the library has the operations of oneDNN, and lets them be run by their names. */
function hasOneDnn(backend: NativeBackend): boolean {
  const x = tf.zeros([1, 2, 2, 1]);
  try {
    const attributes = oneDnnPooling(backend.binding, x, { filterSize: 2, strides: 2, pad: 'valid' });
    const made = backend.binding.executeOp(ONE_DNN, attributes, backend.getInputTensorIds([x]), 2);
    for (const { id } of made) backend.binding.deleteTensor(id);
    return true;
  } catch {
    return false;
  } finally {
    x.dispose();
  }
}

/** Pooling of oneDNN: the largest values, and their places for the gradient. */
const ONE_DNN = '_MklNativeMaxPool';

function maxPool({ inputs, attrs, backend }: Call): tf.TensorInfo {
  const { binding } = backend;
  const attributes = oneDnnPooling(binding, inputs.x, attrs);
  const [y, ...places] = binding.executeOp(ONE_DNN, attributes, idsOf(backend, inputs, 'x'), 2);
  for (const { id } of places) binding.deleteTensor(id);
  return backend.createOutputTensor(y);
}

function maxPoolGradient({ inputs, attrs, backend }: Call): tf.TensorInfo {
  const { binding } = backend;
  const attributes = oneDnnPooling(binding, inputs.input, attrs);
  const [x, dy] = idsOf(backend, inputs, 'input', 'dy') as [number, number];
  const made = binding.executeOp(ONE_DNN, attributes, [x], 2);
  const [y, places] = made.map(({ id }) => id) as [number, number];
  const [dx] = binding.executeOp(`${ONE_DNN}Grad`, attributes, [x, y, dy, places], 1);
  for (const id of [y, places]) binding.deleteTensor(id);
  return backend.createOutputTensor(dx);
}

function oneDnnPooling(
  binding: Binding,
  input: tf.TensorInfo | undefined,
  attrs: tf.NamedAttrMap,
): Attribute[] {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as {
    readonly filterSize: [number, number] | number;
    readonly strides: [number, number] | number;
    readonly pad: 'valid' | 'same';
    readonly dimRoundingMode?: 'floor';
  };
  const shape = input?.shape as [number, number, number, number];
  const pooling = tf.backend_util.computePool2DInfo(
    ...([shape, filterSize, strides, 1, pad, dimRoundingMode] as const),
  );
  const { TF_ATTR_INT, TF_ATTR_STRING, TF_ATTR_BOOL } = binding;
  return [
    typeOf(binding),
    { name: 'ksize', type: TF_ATTR_INT, value: [1, pooling.filterHeight, pooling.filterWidth, 1] },
    { name: 'strides', type: TF_ATTR_INT, value: [1, pooling.strideHeight, pooling.strideWidth, 1] },
    { name: 'padding', type: TF_ATTR_STRING, value: pad.toUpperCase() },
    { name: 'data_format', type: TF_ATTR_STRING, value: 'NHWC' },
    { name: 'workspace_enabled', type: TF_ATTR_BOOL, value: true },
    // What TensorFlow itself sets where it takes an operation of oneDNN in place of its own.
    { name: '_kernel', type: TF_ATTR_STRING, value: 'MklNameChangeOp' },
  ];
}
