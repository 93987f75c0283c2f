import { type Genome, genome, type Layer } from '@morpheo/search';
import { oneLine } from '../terminal/text.ts';

/** The parameters of a trial as one line of at most `most` characters. A network is told by its layers and its optimizer. */
export function parametersText(parameters: Readonly<Record<string, unknown>>, most: number): string {
  const told = Object.entries(parameters).map(([name, value]) => {
    const network = genome.safeParse(value);
    return [name, network.success ? networkText(network.data) : value];
  });
  return oneLine(JSON.stringify(Object.fromEntries(told)), most);
}

function networkText({ layers, optimizer }: Genome): string {
  return [optimizer, ...layers.map(layerText)].join(', ');
}

function layerText(layer: Layer): string {
  switch (layer.type) {
    case 'dense':
      return `dense ${layer.size} ${layer.activation}`;
    case 'dropout':
      return `dropout ${layer.rate}`;
    case 'conv2d':
      return `conv2d ${layer.filters} of ${layer.kernel_size.join('x')} ${layer.activation}`;
    case 'max_pooling2d':
    case 'average_pooling2d':
      return `${layer.type} ${layer.pool_size.join('x')}`;
    case 'flatten':
      return layer.type;
  }
}
