import type { TensorFlow, TF } from '../engine.ts';
import type { ActivationName } from '../genome/genome.ts';

/** Applies an activation function as Keras 2 defines it. */
export function activate(tf: TensorFlow, name: ActivationName, x: TF.Tensor): TF.Tensor {
  switch (name) {
    case 'elu':
      return tf.elu(x);
    case 'exponential':
      return tf.exp(x);
    case 'hard_sigmoid':
      return tf.clipByValue(tf.add(tf.mul(x, 0.2), 0.5), 0, 1);
    case 'linear':
      return x;
    case 'relu':
      return tf.relu(x);
    case 'selu':
      return tf.selu(x);
    case 'sigmoid':
      return tf.sigmoid(x);
    case 'softmax':
      return tf.softmax(x);
    case 'softplus':
      return tf.softplus(x);
    case 'softsign':
      return tf.div(x, tf.add(tf.abs(x), 1));
    case 'swish':
      return tf.mul(x, tf.sigmoid(x));
    case 'tanh':
      return tf.tanh(x);
  }
}
