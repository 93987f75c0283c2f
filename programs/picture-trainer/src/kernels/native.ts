import * as tf from '@tensorflow/tfjs';

/** An attribute of an operation of TensorFlow, by the number that its library has for the attribute's type. */
interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** What of the native backend is used here; the package keeps its types to itself. */
export interface NativeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_Version: string; readonly TF_ATTR_TYPE: number; readonly TF_FLOAT: number };
  executeSingleOutput(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly tf.TensorInfo[],
  ): tf.TensorInfo;
}

/** The backend of the native engine, once it is in use. */
export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend;
}

/** Adds to the native backend the kernel `ReluGrad`, which is one operation of the library. A second call changes nothing. */
export function addNativeKernels(): void {
  if (tf.getKernel('ReluGrad', 'tensorflow')) return;
  const kernelFunc: tf.KernelFunc = ({ inputs }) => {
    const backend = nativeBackend();
    const { TF_ATTR_TYPE, TF_FLOAT } = backend.binding;
    const type = { name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT };
    const { dy, y } = inputs as Record<'dy' | 'y', tf.TensorInfo>;
    return backend.executeSingleOutput('ReluGrad', [type], [dy, y]);
  };
  tf.registerKernel({ kernelName: 'ReluGrad', backendName: 'tensorflow', kernelFunc });
}
