import test from 'ava';
import { parametersText } from './parameters-text.ts';

test('Parameters are one line, in which a network is told by what sets it apart from others', (t) => {
  const network = {
    ...{ input_shape: [28, 28, 1], output_size: 10, optimizer: 'adam' },
    layers: [
      { type: 'conv2d', filters: 16, kernel_size: [3, 3], strides: [1, 1], activation: 'relu' },
      { type: 'max_pooling2d', pool_size: [2, 2], strides: [2, 2] },
      { type: 'dropout', rate: 0.42 },
      { type: 'dense', size: 36, activation: 'selu' },
    ],
  };
  t.is(
    parametersText({ rate: 0.1, network }, 200),
    '{"rate":0.1,"network":"adam, conv2d 16 of 3x3 relu, max_pooling2d 2x2, dropout 0.42, dense 36 selu"}',
  );
  t.is(parametersText({ rate: 0.1, degree: 3 }, 12), '{"rate":0.1…');
});
