/** How windows lie over pictures of height × width × channels. */
export interface Pooling {
  readonly batchSize: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly padInfo: { readonly top: number; readonly left: number };
}

/** A gradient of pooling: `target` is as long as `values`, and is written whole; `gradient` has a value a window. */
export type PoolingGradient = (
  pooling: Pooling,
  values: Float32Array,
  gradient: Float32Array,
  target: Float32Array,
) => void;

/** Each window gives what the gradient has for it to its largest value; of equal ones to the first, as TensorFlow does. */
export const maxPoolGradient: PoolingGradient = (pooling, values, gradient, target) => {
  target.fill(0);
  eachWindow(pooling, (bounds, channel, window) => {
    const winner = largest(values, bounds, channel);
    target[winner] = (target[winner] as number) + (gradient[window] as number);
  });
};

/** Each window gives what the gradient has for it to its values in equal parts; what pads a picture gets none. */
export const averagePoolGradient: PoolingGradient = (pooling, _values, gradient, target) => {
  target.fill(0);
  eachWindow(pooling, ({ first, rows, columns, rowStep, columnStep }, channel, window) => {
    const share = (gradient[window] as number) / (rows * columns);
    for (let row = 0; row < rows; row++) {
      let index = first + channel + row * rowStep;
      for (let column = 0; column < columns; column++, index += columnStep) {
        target[index] = (target[index] as number) + share;
      }
    }
  });
};

/** Calls `visit` for each window of each channel, in the order of the pooling's outputs. */
function eachWindow(
  pooling: Pooling,
  visit: (bounds: Bounds, channel: number, window: number) => void,
): void {
  const { batchSize, outHeight, outWidth, inChannels: channels } = pooling;
  let window = 0;
  for (let picture = 0; picture < batchSize; picture++) {
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        const bounds = boundsOf(pooling, picture, row, column);
        for (let channel = 0; channel < channels; channel++) visit(bounds, channel, window++);
      }
    }
  }
}

/** Where a window lies: index of its first value, its rows and columns, and the steps from one to the next. */
interface Bounds {
  readonly first: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowStep: number;
  readonly columnStep: number;
}

function boundsOf(pooling: Pooling, picture: number, row: number, column: number): Bounds {
  const { inHeight, inWidth, inChannels, padInfo } = pooling;
  const top = row * pooling.strideHeight - padInfo.top;
  const left = column * pooling.strideWidth - padInfo.left;
  const [y, x] = [Math.max(top, 0), Math.max(left, 0)];
  return {
    first: ((picture * inHeight + y) * inWidth + x) * inChannels,
    rows: Math.min(top + pooling.filterHeight, inHeight) - y,
    columns: Math.min(left + pooling.filterWidth, inWidth) - x,
    rowStep: inWidth * inChannels,
    columnStep: inChannels,
  };
}

function largest(values: Float32Array, bounds: Bounds, channel: number): number {
  const { first, rows, columns, rowStep, columnStep } = bounds;
  let winner = first + channel;
  let most = values[winner] as number;
  for (let row = 0; row < rows; row++) {
    let index = first + channel + row * rowStep;
    for (let column = 0; column < columns; column++, index += columnStep) {
      const value = values[index] as number;
      if (value > most) {
        most = value;
        winner = index;
      }
    }
  }
  return winner;
}
