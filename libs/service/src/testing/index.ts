export { COSTLY_TEXTS, processorMs } from './costly-texts.ts';
export { eventually } from './eventually.ts';
export { type OtlpReceiver, openOtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';
export { readFigures } from './read-figures.ts';
